// SPDX-License-Identifier: Apache-2.0
//
// Addresses of the inferior. They are numbers here, never pointers of ours.
#pragma once

#include <cstdint>

namespace heapledger {

using Address = std::uint64_t;

// Half-open: [begin, end).
struct AddressRange {
  Address begin = 0;
  Address end = 0;

  std::uint64_t size() const { return end - begin; }
  bool empty() const { return end <= begin; }
  bool contains(Address a) const { return a >= begin && a < end; }
  bool overlaps(AddressRange o) const { return begin < o.end && o.begin < end; }
  friend bool operator==(const AddressRange&, const AddressRange&) = default;
};

}  // namespace heapledger
