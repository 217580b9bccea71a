// SPDX-License-Identifier: Apache-2.0
//
// Ways into a function that do not lead through its first byte. A function's own branches are seen by
// relocate_entry; others are
//
//   symbols      a second entry point, some bytes behind the first
//   branches     of other code of the module: a part that was moved out of line (.text.unlikely), a
//                neighbour that shares a tail
//   jump tables  of the function: 32-bit distances from the table, as compilers make them in
//                position-independent code
//
// Tables of absolute addresses, and addresses that are computed otherwise, are not seen.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "inferior/elf_file.h"

namespace heapledger {

struct SideEntry {
  std::uint32_t offset = 0;  // from the function's first byte; more than 0
  std::string what;          // "inner begins at", "a branch at 0x1234 leads to"
};

struct FunctionPlace {
  std::uint64_t address = 0;  // link-time
  std::uint64_t size = 0;     // as far as its bytes are known to be its own
};

// One list for each function, of what leads into its first kLongestEntry bytes but the first one.
inline constexpr std::uint64_t kLongestEntry = 32;
std::vector<std::vector<SideEntry>> find_side_entries(const ElfFile& elf,
                                                      std::span<const FunctionPlace> functions);

}  // namespace heapledger
