// SPDX-License-Identifier: Apache-2.0
//
// Searches of a graph that is larger than the caches: of a queue of blocks, what the next steps will
// need is asked for three stages ahead of the scan - a block's node, then its row, then whatever the
// search keeps of the blocks its first edges lead to.
#pragma once

#include "analysis/graph.h"

namespace heapledger {

// Entry i of queue[0..end) is scanned next. An entry's low bits (EdgeStore::kTarget) are its block.
// Calls touch(block) for the targets of the entry eight ahead.
template <typename Touch>
void prefetch_ahead(const Graph& graph, const std::uint32_t* queue, std::size_t i, std::size_t end,
                    Touch&& touch) {
  const auto node = [&](std::size_t k) -> const Node& {
    return graph.nodes[queue[k] & EdgeStore::kTarget];
  };
  if (i + 24 < end) __builtin_prefetch(&node(i + 24));
  if (i + 16 < end) {
    const Row row = node(i + 16).row;
    if ((row & kInlineRow) == 0) __builtin_prefetch(graph.edges.at(row));
  }
  if (i + 8 >= end) return;
  const Row row = node(i + 8).row;
  if (row == kEmptyRow) return;
  if ((row & kInlineRow) != 0) return touch(row & EdgeStore::kTarget);
  const std::uint32_t* p = graph.edges.at(row);
  for (int edges = 0; edges < 4; ++edges) {
    const std::uint32_t word = *p++;
    const std::uint32_t target = word & EdgeStore::kTarget;
    if (target >= EdgeStore::kVoid) return;
    touch(target);
    if ((word & EdgeStore::kLast) != 0) return;
    if ((word & EdgeStore::kInterior) != 0) ++p;
  }
}

}  // namespace heapledger
