// SPDX-License-Identifier: Apache-2.0
//
// The heap of glibc's malloc, without debug symbols of libc. Sizes are usable bytes (requested + up to
// 24). Threads that stop inside malloc leave lists half changed; what does not fit is told, never guessed.
#pragma once

#include "heap/heap_walk.h"

namespace heapledger {

// `threads`: thread pointers where the debugger knows them; found in memory when empty. `foreign`:
// memory in which no mapped block can begin. `touched` may be empty.
Result<HeapWalk> walk_glibc_heap(const Memory& memory, const Mappings& mappings,
                                 const std::vector<Module>& modules,
                                 std::span<const ThreadTcb> threads,
                                 std::span<const AddressRange> foreign = {},
                                 const TouchedParts& touched = {});

}  // namespace heapledger
