// SPDX-License-Identifier: Apache-2.0
//
// The allocator's own structures of a process at a stop, for what no tracking recorded.
#pragma once

#include <span>

#include "heap/heap_walk.h"
#include "inferior/target.h"

namespace heapledger {

// `own_memory`: ours, in which no block lies. An Error says why there is no heap to walk (another
// allocator, no file of libc).
Result<HeapWalk> walk_process_heap(Target& target, std::span<const AddressRange> own_memory);

}  // namespace heapledger
