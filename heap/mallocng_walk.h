// SPDX-License-Identifier: Apache-2.0
//
// The heap of musl's malloc ("mallocng", since 1.2.1).
//
//   malloc_context   one, in libc's data: a random secret ... the first meta area
//   meta area        a page: the secret again, the next area, an array of metas
//   meta             of a group: where it is, which of its slots are free (two masks of 32), its size class
//   group            meta pointer, then up to 32 slots of one size; a slot may hold a group of smaller ones
//   slot             [offset, index, reserved] 4 bytes in front of what malloc returned ... 4 bytes of its own
//
// How many bytes were asked for is kept exactly, as bytes reserved at the end of a slot. The context has
// no dynamic symbol: it is the one place in libc's data whose first word stands again at the page its
// eighth one points to.
#pragma once

#include "heap/heap_walk.h"

namespace heapledger {

// Is there musl's C library, or a static program that may contain it?
bool may_have_mallocng(const std::vector<Module>& modules);

Result<HeapWalk> walk_mallocng_heap(const Memory& memory, const Mappings& mappings,
                                    const std::vector<Module>& modules);

}  // namespace heapledger
