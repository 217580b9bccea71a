// SPDX-License-Identifier: Apache-2.0
//
// A block: memory the program got from an allocator and has not given back. The common word of
// tracking/ (which knows blocks from the ledger), heap/ (from the allocator's own structures) and
// analysis/ (which asks who points at them).
#pragma once

#include <cstdint>

#include "inferior/address.h"

namespace heapledger {

struct Block {
  Address start = 0;
  std::uint64_t size = 0;  // requested bytes where known (ledger), else usable bytes (heap walk)

  AddressRange range() const { return {start, start + size}; }
  friend bool operator==(const Block&, const Block&) = default;
};

}  // namespace heapledger
