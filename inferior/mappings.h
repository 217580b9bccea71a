// SPDX-License-Identifier: Apache-2.0
//
// The mappings of a process, as /proc/PID/maps lists them (man proc(5)).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "inferior/address.h"
#include "inferior/result.h"

namespace heapledger {

struct Mapping {
  AddressRange range;
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  std::uint64_t file_offset = 0;
  std::uint64_t device = 0;  // major << 32 | minor
  std::uint64_t inode = 0;   // 0: anonymous
  std::string name;          // path, "[heap]", "[stack]", "[anon:...]" or empty; " (deleted)" is kept

  bool is_file() const { return inode != 0; }
  friend bool operator==(const Mapping&, const Mapping&) = default;
};

using Mappings = std::vector<Mapping>;  // sorted by address, disjoint

// Text of /proc/PID/maps. Lines that cannot be parsed are an Error that quotes the line.
Result<Mappings> parse_mappings(std::string_view text);
Result<Mappings> read_mappings(std::uint64_t pid);

// The mapping that contains `address`, or nullptr.
const Mapping* find_mapping(const Mappings& mappings, Address address);

}  // namespace heapledger
