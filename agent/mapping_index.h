// SPDX-License-Identifier: Apache-2.0
//
// Where mappings begin: page -> mapping record, by three loads.
//
// It stands apart from the slots of blocks, because an allocator's first block may begin where its
// mapping does. An entry is one word, an index + 1 into the mapping records (0: none), so that it is
// set and cleared by compare and swap: nobody erases what another thread has put there since. An entry
// may be older than what its record says now; readers compare the record's own address.
#pragma once

#include "agent/arena.h"

namespace heapledger::agent {

struct MappingBegin {
  uint64_t address = 0;
  uint32_t record = 0;  // index + 1; 0: none
};

// The entry of the page at `address`; without memory, or (find) where nothing was ever recorded: null.
uint32_t* find_mapping_entry(State* s, uint64_t address);
uint32_t* make_mapping_entry(State* s, uint64_t address);

// The lowest one in [begin, end).
MappingBegin first_mapping_from(State* s, uint64_t begin, uint64_t end);

// The highest one in [low, end). Looks at most at `steps` pages and gaps, and takes them off; 0 left
// means that it cannot be told.
MappingBegin last_mapping_before(State* s, uint64_t end, uint64_t low, uint32_t& steps);

}  // namespace heapledger::agent
