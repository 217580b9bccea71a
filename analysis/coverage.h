// SPDX-License-Identifier: Apache-2.0
//
// What a scan saw and what it could not see. Incompleteness is expected (a core lacks segments, a
// thread gives no registers); it is counted here and told with what follows from it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "inferior/address.h"

namespace heapledger {

struct Coverage {
  // Memory.
  std::uint64_t root_bytes = 0;           // of roots, to be scanned
  std::uint64_t block_bytes = 0;          // of blocks, to be scanned
  std::uint64_t unreadable_root_bytes = 0;
  std::uint64_t unreadable_block_bytes = 0;
  Address first_unreadable = 0;           // meaningful when one of the two is not 0
  std::uint64_t skipped_shared_bytes = 0;  // shared file mappings, not scanned by default
  // Threads.
  std::uint32_t threads = 0;
  std::uint32_t threads_without_registers = 0;
  std::uint32_t threads_without_stack = 0;  // sp unknown or in no mapping: scanned nothing
  // Records.
  std::uint64_t dropped_records = 0;      // allocations that were not recorded, nor found in the heap
  std::string dropped_because;            // may be empty
  std::uint64_t in_flight_records = 0;    // allocator calls in progress at the stop
  std::uint64_t damaged_records = 0;
  std::uint64_t discarded_blocks = 0;     // overlap another block or are not mapped; not judged

  bool complete() const;
};

// One sentence each, with its consequence: "4096 bytes of roots could not be read (first at 0x...):
// what only they hold is reported as lost". Empty when the coverage is complete.
std::vector<std::string> describe(const Coverage& coverage);

}  // namespace heapledger
