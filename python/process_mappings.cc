// SPDX-License-Identifier: Apache-2.0
#include "python/process_mappings.h"

#include <sstream>

namespace heapledger {

Result<Mappings> parse_process_mappings(const std::string& text) {
  Mappings mappings;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    Mapping mapping;
    std::uint64_t size = 0;
    std::string permissions;
    words >> std::hex >> mapping.range.begin >> mapping.range.end >> size >> mapping.file_offset >>
        permissions;
    if (words.fail() || permissions.size() != 4) continue;
    const Address before = mappings.empty() ? 0 : mappings.back().range.end;
    if (mapping.range.empty() || mapping.range.begin < before) {
      return fail("gdb tells mappings out of order: {:#x} to {:#x} behind {:#x}", mapping.range.begin,
                  mapping.range.end, before);
    }
    std::getline(words >> std::ws, mapping.name);
    mapping.readable = permissions[0] == 'r';
    mapping.writable = permissions[1] == 'w';
    mapping.executable = permissions[2] == 'x';
    mapping.shared = permissions[3] == 's';
    mapping.inode = mapping.name.starts_with('/') ? 1 : 0;
    mappings.push_back(std::move(mapping));
  }
  if (mappings.empty()) return fail("gdb does not tell the mappings of this process");
  return mappings;
}

}  // namespace heapledger
