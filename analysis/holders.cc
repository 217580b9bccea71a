// SPDX-License-Identifier: Apache-2.0
//
// Questions about a finished scan: the chain to a block, who points to it, who leads a lost group,
// which root alone keeps many blocks. Edges know targets; where in its holder a pointer stands is read
// again from memory, for the few blocks asked about.
#include <algorithm>
#include <functional>

#include "analysis/scan_state.h"

namespace heapledger {
namespace {

// Calls visit(slot, word) for the aligned words of a block; false stops.
void for_each_word(const Memory& memory, const Block& block,
                   const std::function<bool(Address, std::uint64_t)>& visit) {
  constexpr std::uint64_t kStep = 1 << 20;
  const Address end = (block.start + block.size) & ~Address{7};
  std::vector<std::uint64_t> words;
  for (Address at = (block.start + 7) & ~Address{7}; at < end; at += kStep) {
    words.assign(std::min(kStep, end - at) / 8, 0);
    memory.read_up_to(at, std::as_writable_bytes(std::span(words)));
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (!visit(at + i * 8, words[i])) return;
    }
  }
}

// The pointer by which `holder` reaches `target`: a true start pointer if there is one.
std::optional<Edge> best_edge(const Graph& graph, std::uint32_t holder, std::uint32_t target) {
  std::optional<Edge> best;
  graph.edges.for_each(graph.nodes[holder].row, [&](const Edge& edge) {
    if (edge.target != target) return true;
    if (!best || (!edge.interior && best->interior) || (edge.is_start() && !best->is_start())) {
      best = edge;
    }
    return best->interior;
  });
  return best;
}

Reference find_slot(const Scan::State& state, std::uint32_t holder, std::uint32_t target) {
  const Graph& graph = state.graph;
  Reference reference{Reference::Holder::block, holder};
  const auto edge = best_edge(graph, holder, target);
  const std::uint64_t wanted = graph.blocks[target].start + (edge ? edge->offset : 0);
  for_each_word(state.input.memory, graph.blocks[holder], [&](Address slot, std::uint64_t word) {
    if (word != wanted) return true;
    reference.slot = slot;
    reference.value = word;
    return false;
  });
  return reference;
}

Reference root_reference(const Scan::State& state, const RootEntry& entry) {
  Reference reference{Reference::Holder::root, 0, entry.root, entry.slot};
  reference.in_register = entry.in_register;
  if (entry.in_register) {
    reference.value = state.input.roots.roots[entry.root].words[entry.slot];
  } else {
    reference.value = state.input.memory.read_value<std::uint64_t>(entry.slot).value_or(0);
  }
  return reference;
}

// Which blocks each of the roots alone keeps: colours spread along all edges; a block that a second
// colour meets turns to kSeveral, and is left for good. Every block is visited at most twice.
class Colouring {
 public:
  static constexpr std::uint32_t kNone = 0;
  static constexpr std::uint32_t kSeveral = UINT32_MAX;

  explicit Colouring(const Graph& graph) : graph_(graph), colour_(graph.count()) {}

  void spread(const RootPiece& piece, std::uint32_t colour) {
    for (const RootWord& word : piece.words) meet(word.target, colour);
    while (!stack_.empty()) {
      const std::uint32_t b = stack_.back();
      stack_.pop_back();
      const std::uint32_t own = colour_[b];
      graph_.edges.for_each(graph_.nodes[b].row, [&](const Edge& edge) {
        meet(edge.target, own);
        return true;
      });
    }
  }
  std::uint32_t operator[](std::uint32_t b) const { return colour_[b]; }

 private:
  void meet(std::uint32_t b, std::uint32_t colour) {
    std::uint32_t& own = colour_[b];
    if (own == colour || own == kSeveral) return;
    own = own == kNone ? colour : kSeveral;
    stack_.push_back(b);
  }

  const Graph& graph_;
  HugeArray<std::uint32_t> colour_;
  std::vector<std::uint32_t> stack_;
};

}  // namespace

std::vector<Reference> Scan::chain(BlockIndexNumber block) const {
  const Graph& graph = state_->graph;
  std::vector<Reference> chain;
  if (verdict(block) != Verdict::still_reachable && verdict(block) != Verdict::possibly_lost) return chain;
  for (;;) {
    const std::uint32_t parent = graph.nodes[block].parent;
    if (parent == kNoParent) break;
    if ((parent & kRootParent) != 0) {
      chain.push_back(root_reference(*state_, graph.entries[parent & ~kRootParent]));
      break;
    }
    chain.push_back(find_slot(*state_, parent, block));
    block = parent;
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

std::vector<Reference> Scan::block_holders(BlockIndexNumber block) const {
  const Graph& graph = state_->graph;
  std::vector<Reference> holders;
  for (std::uint32_t holder = 0; holder < graph.count(); ++holder) {
    const Row row = graph.nodes[holder].row;
    const bool points = !graph.edges.for_each(
        row, [&](const Edge& edge) { return edge.target != block; });
    if (!points) continue;
    const Block& target = graph.blocks[block];
    for_each_word(state_->input.memory, graph.blocks[holder], [&](Address slot, std::uint64_t word) {
      if (word - target.start < std::max<std::uint64_t>(target.size, 1)) {
        holders.push_back({Reference::Holder::block, holder, 0, slot, word});
      }
      return true;
    });
  }
  return holders;
}

std::vector<Reference> Scan::root_holders(BlockIndexNumber block) const {
  std::vector<Reference> holders;
  for (const RootPiece& piece : state_->graph.root_pieces) {
    for (const RootWord& word : piece.words) {
      if (word.target != block) continue;
      const Address slot =
          piece.in_register ? word.position : piece.base + std::uint64_t{word.position} * 8;
      holders.push_back(root_reference(*state_, {slot, piece.root, piece.in_register}));
    }
  }
  return holders;
}

std::optional<BlockIndexNumber> Scan::head(BlockIndexNumber block) const {
  switch (verdict(block)) {
    case Verdict::definitely_lost:
    case Verdict::indirectly_lost: return state_->graph.nodes[block].parent;
    default: return std::nullopt;
  }
}

Total Scan::led_by(BlockIndexNumber head) const {
  Total total;
  const Graph& graph = state_->graph;
  for (std::uint32_t b = 0; b < graph.count(); ++b) {
    if (graph.nodes[b].parent != head || graph.verdict(b) != Verdict::indirectly_lost) continue;
    total.bytes += graph.blocks[b].size;
    ++total.blocks;
  }
  return total;
}

std::vector<Scan::SoleHolder> Scan::sole_holders(double share) const {
  const Graph& graph = state_->graph;
  const auto& roots = state_->input.roots.roots;
  // What only one mapping keeps hangs, in the tree of shortest chains, below that mapping's words.
  // When no mapping's words begin any chain, there is nothing to look for.
  std::vector<bool> begins(roots.size());
  for (const RootEntry& entry : graph.entries) begins[entry.root] = true;
  bool any = false;
  for (std::size_t r = 0; r < roots.size(); ++r) any |= begins[r] && roots[r].kind == RootKind::mapping;
  if (!any) return {};

  Colouring colours(graph);
  for (const RootPiece& piece : graph.root_pieces) {
    if (roots[piece.root].kind != RootKind::mapping) colours.spread(piece, Colouring::kSeveral);
  }
  for (const RootPiece& piece : graph.root_pieces) {
    if (roots[piece.root].kind == RootKind::mapping) colours.spread(piece, piece.root + 1);
  }
  std::vector<Total> keeps(roots.size());
  for (std::uint32_t b = 0; b < graph.count(); ++b) {
    if (colours[b] == Colouring::kNone || colours[b] == Colouring::kSeveral) continue;
    Total& total = keeps[colours[b] - 1];
    total.bytes += graph.blocks[b].size;
    ++total.blocks;
  }
  std::vector<SoleHolder> sole;
  for (std::uint32_t r = 0; r < roots.size(); ++r) {
    if (static_cast<double>(keeps[r].blocks) > share * graph.count()) sole.push_back({r, keeps[r]});
  }
  return sole;
}

}  // namespace heapledger
