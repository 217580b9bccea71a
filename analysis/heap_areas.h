// SPDX-License-Identifier: Apache-2.0
//
// Which memory is an allocator's: headers, freed blocks, arenas, caches, blocks. It is looked into only
// inside live blocks; taken for a root, its free lists and leftovers would keep most leaks alive
// (jemalloc's own tables alone hold the address of every large block).
//
// glibc's arenas and separately mapped blocks are known exactly. Of any other allocator, all of a
// mapping that holds a tracked block.
#pragma once

#include <optional>
#include <vector>

#include "analysis/region_map.h"
#include "analysis/roots.h"
#include "heap/glibc_arena.h"
#include "heap/heap_walk.h"

namespace heapledger {

// What a walk of malloc's structures knows: before module data is claimed, because musl's malloc uses what
// is left over of its pages as well.
void claim_walked_heap(const HeapWalk& heap, RegionMap& map);
void claim_heap(const RootSources& sources, const std::optional<Glibc>& glibc, RegionMap& map);

}  // namespace heapledger
