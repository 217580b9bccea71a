// SPDX-License-Identifier: Apache-2.0
//
// Labels every lost block with the first head that leads to it.
//
// Heads are taken one after the other; a search from each, breadth first, labels what no earlier one
// has. Where a search grows wide - a head that leads to most of what is lost - several threads share it.
#pragma once

#include <span>

#include "analysis/block_set.h"
#include "analysis/graph.h"

namespace heapledger {

// Which of two heads comes first: those that are not suppressed, then by address.
class HeadOrder {
 public:
  explicit HeadOrder(std::uint32_t blocks) : suppressed_(blocks) {}
  void suppress(std::uint32_t head) { suppressed_.insert(head); }
  bool is_suppressed(std::uint32_t head) const { return suppressed_.contains(head); }
  bool operator()(std::uint32_t a, std::uint32_t b) const {
    return is_suppressed(a) != is_suppressed(b) ? is_suppressed(b) : a < b;
  }

 private:
  BlockSet suppressed_;
};

class Flood {
 public:
  Flood(Graph& graph, const HeadOrder& before, unsigned threads, const Progress& progress)
      : graph_(graph), before_(before), threads_(threads), progress_(progress), queue_(graph.count()) {}

  // Labels (Node::parent) the heads, in their order, with themselves, and what they lead to in `open`
  // with the first of them, unless it has a label of an earlier head. What was met is taken from `open`.
  // False: progress said stop.
  bool run(std::span<const std::uint32_t> heads, BlockSet& open);

 private:
  bool search(std::uint32_t head, BlockSet& open);
  std::uint32_t search_widely(std::uint32_t begin, std::uint32_t end, std::uint32_t head, BlockSet& open);
  template <typename Meet>
  void label(std::uint32_t b, std::uint32_t head, Meet&& meet);
  bool tell(std::uint32_t more);

  Graph& graph_;
  const HeadOrder& before_;
  unsigned threads_;
  const Progress& progress_;
  HugeArray<std::uint32_t> queue_;
  std::uint64_t done_ = 0;
  std::uint64_t next_tell_ = 0;
};

}  // namespace heapledger
