// SPDX-License-Identifier: Apache-2.0
#include "analysis/mark.h"

#include <vector>

#include "analysis/prefetch.h"

namespace heapledger {
namespace {

// A block to be scanned; kNewLevel on the first one of each distance from the roots.
constexpr std::uint32_t kNewLevel = 1u << 31;

class Marker {
 public:
  Marker(Graph& graph, const Progress& progress)
      : graph_(graph), progress_(progress), queue_(graph.count()) {}

  bool run() {
    if (!mark_start()) return false;
    forget_needless_heuristics();
    if (anything_possible() && !mark_possible()) return false;
    for (std::uint32_t b = 0; b < graph_.count(); ++b) {
      if (!graph_.reached(b)) graph_.set(b, Verdict::definitely_lost);
    }
    return true;
  }

 private:
  std::uint32_t add_entry(const RootPiece& piece, const RootWord& word) {
    const Address slot =
        piece.in_register ? word.position : piece.base + std::uint64_t{word.position} * 8;
    graph_.entries.push_back({slot, piece.root, piece.in_register});
    return kRootParent | static_cast<std::uint32_t>(graph_.entries.size() - 1);
  }

  void reach(const Edge& edge, std::uint32_t parent) {
    graph_.nodes[edge.target].parent = parent;
    if (edge.heuristic != Heuristic::none) {
      graph_.set(edge.target, Verdict::still_reachable, edge.heuristic);
      by_heuristic_ = true;
    }
    if (graph_.nodes[edge.target].row != kEmptyRow) queue_[tail_++] = edge.target;  // else it leads nowhere
  }

  bool mark_start() {
    for (const RootPiece& piece : graph_.root_pieces) {
      for (const RootWord& word : piece.words) {
        const Edge edge = word.edge();
        if (!edge.is_start() || graph_.reached(edge.target)) continue;
        reach(edge, add_entry(piece, word));
      }
    }
    std::uint32_t level_end = 0;
    for (std::uint32_t i = 0; i < tail_; ++i) {
      if (i == level_end) {
        queue_[i] |= kNewLevel;
        level_end = tail_;
      }
      prefetch(i);
      const std::uint32_t source = queue_[i] & ~kNewLevel;
      graph_.edges.for_each(graph_.nodes[source].row, [&](const Edge& edge) {
        if (edge.is_start() && !graph_.reached(edge.target)) reach(edge, source);
        return true;
      });
      if ((i & 0xfffff) == 0xfffff && !tell(i)) return false;
    }
    return true;
  }

  void prefetch(std::uint32_t i) const {
    prefetch_ahead(graph_, queue_.data(), i, tail_,
                   [this](std::uint32_t target) { __builtin_prefetch(&graph_.nodes[target]); });
  }

  // A heuristic brought the search to a block first, but a true start pointer leads there as well.
  void forget_needless_heuristics() {
    if (!by_heuristic_) return;
    const auto forget = [this](const Edge& edge) {
      if (!edge.interior && graph_.verdicts[edge.target] != 0) {
        graph_.set(edge.target, Verdict::still_reachable);
      }
      return true;
    };
    for (const RootPiece& piece : graph_.root_pieces) {
      for (const RootWord& word : piece.words) forget(word.edge());
    }
    for (std::uint32_t b = 0; b < graph_.count(); ++b) {
      if (graph_.reached(b)) graph_.edges.for_each(graph_.nodes[b].row, forget);
    }
  }

  // Is there a pointer from a reached block or a root to a block that was not reached?
  bool anything_possible() const {
    for (const RootPiece& piece : graph_.root_pieces) {
      for (const RootWord& word : piece.words) {
        if (!graph_.reached(word.target)) return true;
      }
    }
    for (std::uint32_t b = 0; b < graph_.count(); ++b) {
      const Row row = graph_.nodes[b].row;
      if ((row & kInlineRow) != 0 || !graph_.reached(b)) continue;  // one start pointer, or none
      const bool none = graph_.edges.for_each(row, [&](const Edge& edge) {
        return !edge.interior || graph_.reached(edge.target);
      });
      if (!none) return true;
    }
    return false;
  }

  void reach_possibly(std::uint32_t target, std::uint32_t parent) {
    graph_.nodes[target].parent = parent;
    graph_.set(target, Verdict::possibly_lost);
    possible_.push_back(target);
  }

  // The still reachable blocks stand in the queue by distance; the possibly lost join them, so that
  // they too are found along a shortest chain.
  bool mark_possible() {
    for (const RootPiece& piece : graph_.root_pieces) {
      for (const RootWord& word : piece.words) {
        if (!graph_.reached(word.target)) reach_possibly(word.target, add_entry(piece, word));
      }
    }
    std::uint32_t i = 0;
    std::size_t j = 0;
    while (i < tail_ || j < possible_.size()) {
      const std::size_t level_end = possible_.size();
      for (bool first = true; i < tail_ && (first || (queue_[i] & kNewLevel) == 0); ++i) {
        first = false;
        prefetch(i);
        scan_possible(queue_[i] & ~kNewLevel);
        if ((i & 0xfffff) == 0xfffff && !tell(i)) return false;
      }
      for (; j < level_end; ++j) scan_possible(possible_[j]);
    }
    return true;
  }

  void scan_possible(std::uint32_t source) {
    graph_.edges.for_each(graph_.nodes[source].row, [&](const Edge& edge) {
      if (!graph_.reached(edge.target)) reach_possibly(edge.target, source);
      return true;
    });
  }

  bool tell(std::uint64_t done) const {
    return !progress_ || progress_(done, graph_.count(), "following pointers");
  }

  Graph& graph_;
  const Progress& progress_;
  HugeArray<std::uint32_t> queue_;
  std::uint32_t tail_ = 0;
  bool by_heuristic_ = false;
  std::vector<std::uint32_t> possible_;
};

}  // namespace

bool mark(Graph& graph, const Progress& progress) { return Marker(graph, progress).run(); }

}  // namespace heapledger
