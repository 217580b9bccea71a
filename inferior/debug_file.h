// SPDX-License-Identifier: Apache-2.0
//
// Names and source lines of one ELF file, from its symbol tables and DWARF (with its separate debug
// file, by build-id or .gnu_debuglink), read with elfutils. For debuggers whose scripting interface
// cannot tell the call sites of inlined functions at an address without a frame there.
//
// All addresses are link-time ones. Limits: no split DWARF (.dwo).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inferior/elf_file.h"
#include "inferior/target.h"

namespace heapledger {

class DebugFile {
 public:
  // `directories`: where separate debug files are, separated by colons, as gdb's
  // debug-file-directory has them. `elf` may be of memory (vdso): symbols only.
  DebugFile(std::shared_ptr<const ElfFile> elf, const std::string& directories);
  ~DebugFile();
  DebugFile(const DebugFile&) = delete;
  DebugFile& operator=(const DebugFile&) = delete;

  // The function that contains a code address and the ones inlined there, innermost first; at least
  // one entry. Fills function, file, line, offset and inlined.
  std::vector<SymbolFrame> frames(std::uint64_t address) const;

  // The data symbol that contains an address, else its section. Fills all but `module`.
  std::optional<DataName> data(std::uint64_t address) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace heapledger
