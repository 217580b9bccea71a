// SPDX-License-Identifier: Apache-2.0
#include "plugin/core_path.h"

#include <elf.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <set>

#include "inferior/mappings.h"
#include "plugin/liblldb.h"
#include "plugin/sb_text.h"

namespace heapledger {
namespace {

bool is_core(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Elf64_Ehdr header;
  return file.read(reinterpret_cast<char*>(&header), sizeof header) &&
         std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_type == ET_CORE;
}

std::string mapped_core() {
  const auto mappings = read_mappings(std::uint64_t(getpid()));
  if (!mappings) return "";
  std::set<std::string> files;
  for (const Mapping& mapping : *mappings) {
    if (mapping.name.starts_with('/') && !mapping.executable) files.insert(mapping.name);
  }
  std::erase_if(files, [](const std::string& path) { return !is_core(path); });
  return files.size() == 1 ? *files.begin() : "";
}

}  // namespace

std::string core_path(lldb::SBProcess process) {
  if (has("_ZN4lldb9SBProcess11GetCoreFileEv")) return path_of(process.GetCoreFile());
  return mapped_core();
}

}  // namespace heapledger
