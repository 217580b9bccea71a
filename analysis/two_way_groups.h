// SPDX-License-Identifier: Apache-2.0
//
// Blocks that point to each other, and so on from block to block: nodes of doubly linked lists, of trees
// whose children know their parent. Each group is strongly connected, and is found in one pass by
// address, where a search (components.h) has a cache miss for every step that nothing can hide. Knots
// without such pairs are left to the search.
#pragma once

#include "analysis/block_set.h"
#include "analysis/graph.h"

namespace heapledger {

class TwoWayGroups {
 public:
  // Uses Node::parent of the members of `set`.
  TwoWayGroups(Graph& graph, const BlockSet& set) : graph_(graph), set_(set) {}
  bool find(const Progress& progress);  // false: progress said stop

  std::uint32_t of(std::uint32_t b) const { return graph_.nodes[b].parent; }  // its first block

 private:
  std::uint32_t& parent(std::uint32_t b) { return graph_.nodes[b].parent; }
  std::uint32_t first_of(std::uint32_t b);
  bool points_to(std::uint32_t source, std::uint32_t target) const;
  void join(std::uint32_t b);

  Graph& graph_;
  const BlockSet& set_;
};

}  // namespace heapledger
