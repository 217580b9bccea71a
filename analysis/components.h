// SPDX-License-Identifier: Apache-2.0
//
// Strongly connected components of a set of blocks, Pearce's variant of Tarjan's algorithm (Pearce
// 2016, "A space-efficient algorithm for finding strongly connected components"): one number per block,
// kept in Node::parent, is first the order of the visit and then the component's. Iterative: a lost
// list may be ten million blocks long. One thread, and a cache miss for every step: for what nothing
// simpler can tell.
#pragma once

#include <vector>

#include "analysis/block_set.h"
#include "analysis/graph.h"

namespace heapledger {

class Components {
 public:
  // Uses Node::parent of the members of `set`.
  Components(Graph& graph, const BlockSet& set) : graph_(graph), set_(set) {}
  bool find(const Progress& progress);  // false: progress said stop

  std::uint32_t count() const { return kFirst - next_component_; }
  std::uint32_t of(std::uint32_t b) const { return kFirst - graph_.nodes[b].parent; }

 private:
  static constexpr std::uint32_t kFirst = UINT32_MAX - 1;  // component numbers, downwards
  static constexpr std::uint32_t kNotRoot = 1u << 31;
  struct Frame {
    std::uint32_t block;  // | kNotRoot
    Row cursor;
  };

  std::uint32_t& number(std::uint32_t b) { return graph_.nodes[b].parent; }
  void enter(std::uint32_t b);
  void visit(std::uint32_t first);
  void leave();
  void see(Frame& frame, std::uint32_t other);
  void close(std::uint32_t root);

  Graph& graph_;
  const BlockSet& set_;
  std::uint32_t next_index_ = 1;
  std::uint32_t next_component_ = kFirst;
  std::vector<Frame> path_;
  std::vector<std::uint32_t> open_;
};

}  // namespace heapledger
