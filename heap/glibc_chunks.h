// SPDX-License-Identifier: Apache-2.0
//
// Walking the chunks of one contiguous heap region.
//
//   p:  prev_size | size+flags | user bytes ................ |   p + size: the next chunk,
//                                                                whose flag says if p is used
//
// Every step is checked. Where a header makes no sense the walk resumes at the first place from
// which a chain of sound headers leads exactly to the region's end; what lies between is `unknown`.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "heap/glibc_layout.h"
#include "inferior/block.h"
#include "inferior/memory.h"

namespace heapledger {

struct ChunkRegion {
  AddressRange range;        // first chunk .. the top chunk, or .. the end of an older heap
  bool is_main = false;      // of main_arena
  bool ends_at_top = false;  // else two small end markers ("fenceposts") precede range.end
};

struct Chunks {
  std::vector<Block> used;  // user address, usable bytes; by address within a region
  std::vector<Block> free;  // in bins, in a thread's cache, in fastbins
  std::vector<AddressRange> unknown;
  std::vector<std::string> messages;
  std::size_t listed_free = 0;  // how many of `free` came from `listed`
};

// Adds a region's chunks to `out`. `listed`: user addresses on free lists whose chunks are still marked
// as used (tcache, fastbins); sorted, without duplicates.
void walk_chunks(const Memory& memory, const ChunkRegion& region, std::span<const Address> listed,
                 Chunks& out);

}  // namespace heapledger
