// SPDX-License-Identifier: Apache-2.0
#include "inferior/separate_debug_file.h"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

namespace heapledger {
namespace {

// Of .gnu_debuglink: zlib's CRC-32.
bool has_checksum(const ElfFile& file, std::uint32_t expected) {
  constexpr std::size_t kMost = std::size_t{1} << 30;  // bytes
  const auto bytes = file.bytes();
  return bytes.size() <= kMost &&
         crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()) == expected;
}

std::string_view text_in(std::span<const std::byte> contents) {
  const auto* text = reinterpret_cast<const char*>(contents.data());
  return {text, strnlen(text, contents.size())};
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

std::vector<std::string> parts(const std::string& directories) {
  std::vector<std::string> result;
  for (std::size_t begin = 0; begin <= directories.size();) {
    const std::size_t end = std::min(directories.find(':', begin), directories.size());
    if (end != begin) result.push_back(directories.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// What gdb has fetched (debuginfod_find_debuginfo(3), "Cache").
std::string fetched(const std::string& id) {
  if (const auto path = environment("DEBUGINFOD_CACHE_PATH"); !path.empty()) {
    return path + "/" + id + "/debuginfo";
  }
  const std::string own = environment("XDG_CACHE_HOME");
  return (own.empty() ? environment("HOME") + "/.cache" : own) + "/debuginfod_client/" + id + "/debuginfo";
}

std::vector<std::string> places_of(const std::string& id, const std::string& directories) {
  std::vector<std::string> places;
  if (id.size() < 4) return places;
  const std::string name = "/.build-id/" + id.substr(0, 2) + "/" + id.substr(2) + ".debug";
  for (const std::string& directory : parts(directories)) places.push_back(directory + name);
  places.push_back(fetched(id));
  return places;
}

std::shared_ptr<const ElfFile> open_with_id(const std::string& path, const std::string& id) {
  auto file = ElfFile::open(path);
  return file && (*file)->build_id() == id ? *file : nullptr;
}

struct Link {
  std::string name;
  std::uint32_t checksum = 0;
};

// Name, padding to four bytes, checksum.
std::optional<Link> debug_link(const ElfFile& file) {
  const ElfSection* section = file.section(".gnu_debuglink");
  if (section == nullptr) return std::nullopt;
  const auto contents = file.contents(*section);
  Link link{std::string(text_in(contents))};
  const std::size_t at = (link.name.size() + 4) / 4 * 4;
  if (link.name.empty() || link.name.find('/') != std::string::npos ||
      at + sizeof link.checksum > contents.size()) {
    return std::nullopt;
  }
  std::memcpy(&link.checksum, contents.data() + at, sizeof link.checksum);
  return link;
}

}  // namespace

std::shared_ptr<const ElfFile> separate_debug_file(const ElfFile& file, const std::string& directories) {
  const std::string id = file.build_id();
  for (const std::string& path : places_of(id, directories)) {
    if (auto found = open_with_id(path, id)) return found;
  }
  const auto link = debug_link(file);
  if (!link) return nullptr;
  const std::string folder = folder_of(file.name());
  std::vector<std::string> places{folder + link->name, folder + ".debug/" + link->name};
  for (const std::string& directory : parts(directories)) {
    places.push_back(directory + "/" + folder + link->name);
  }
  for (const std::string& path : places) {
    if (!id.empty()) {
      if (auto found = open_with_id(path, id)) return found;
    } else if (auto found = ElfFile::open(path); found && has_checksum(**found, link->checksum)) {
      return *found;
    }
  }
  return nullptr;
}

bool has_alternate_debug_file(const ElfFile& debug) {
  return debug.section(".gnu_debugaltlink") != nullptr;
}

// Name, then the build-id.
std::shared_ptr<const ElfFile> alternate_debug_file(const ElfFile& debug, const std::string& directories) {
  const ElfSection* section = debug.section(".gnu_debugaltlink");
  if (section == nullptr) return nullptr;
  const auto contents = debug.contents(*section);
  const std::string name(text_in(contents));
  if (name.empty() || name.size() >= contents.size()) return nullptr;
  std::string id;
  for (const std::byte b : contents.subspan(name.size() + 1)) id += fmt::format("{:02x}", unsigned(b));
  if (id.empty()) return nullptr;
  std::vector<std::string> places{name.starts_with('/') ? name : folder_of(debug.name()) + name};
  for (std::string& place : places_of(id, directories)) places.push_back(std::move(place));
  for (const std::string& path : places) {
    if (auto found = open_with_id(path, id)) return found;
  }
  return nullptr;
}

}  // namespace heapledger
