// SPDX-License-Identifier: Apache-2.0
#include "heap/heap_walk.h"

#include <algorithm>

#include "heap/glibc_walk.h"
#include "heap/mallocng_walk.h"

namespace heapledger {

Result<HeapWalk> walk_heap(const Memory& memory, const Mappings& mappings,
                           const std::vector<Module>& modules, std::span<const ThreadTcb> threads,
                           std::span<const AddressRange> foreign, const TouchedParts& touched) {
  auto walk = walk_glibc_heap(memory, mappings, modules, threads, foreign, touched);
  if (walk || !may_have_mallocng(modules)) return walk;
  return walk_mallocng_heap(memory, mappings, modules);
}

void sort_blocks(std::vector<Block>& blocks) {
  const auto by_start = [](const Block& a, const Block& b) { return a.start < b.start; };
  const auto sorted_end = std::is_sorted_until(blocks.begin(), blocks.end(), by_start);
  std::sort(sorted_end, blocks.end(), by_start);
  std::inplace_merge(blocks.begin(), sorted_end, blocks.end(), by_start);
}

}  // namespace heapledger
