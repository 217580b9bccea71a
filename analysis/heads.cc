// SPDX-License-Identifier: Apache-2.0
//
// Most of what heads a lost group is told at a glance: no other lost block points to it. What such
// blocks lead to is theirs. Where that leaves something over - cycles that nothing leads to, and what
// hangs on them - blocks that point to each other are a group, and one that no other group points to has
// a head. Only where groups run in a circle themselves components have to be searched for, there.
#include "analysis/heads.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <vector>

#include "analysis/block_set.h"
#include "analysis/components.h"
#include "analysis/flood.h"
#include "analysis/heuristics.h"
#include "analysis/two_way_groups.h"
#include "analysis/workers.h"

namespace heapledger {
namespace {

// Calls visit(edge) for every pointer from `source` into `set`.
template <typename Visit>
void for_each_pointer(const Graph& graph, const BlockSet& set, std::uint32_t source, Visit&& visit) {
  graph.edges.for_each(graph.nodes[source].row, [&](const Edge& edge) {
    if (set.contains(edge.target)) visit(edge);
    return true;
  });
}

BlockSet lost_blocks(const Graph& graph) {
  BlockSet lost(graph.count());
  for (std::uint32_t b = 0; b < graph.count(); ++b) {
    if (graph.verdict(b) == Verdict::definitely_lost) lost.insert(b);
  }
  return lost;
}

// The members of `lost` that another one points to.
BlockSet held_blocks(const Graph& graph, const BlockSet& lost, unsigned threads) {
  constexpr std::uint32_t kShare = 1 << 16;
  std::vector<BlockSet> found;
  for (unsigned i = 0; i < threads; ++i) found.emplace_back(graph.count());
  std::atomic<std::uint32_t> next = 0;
  on_threads(threads, [&](unsigned thread) {
    for (std::uint32_t at; (at = next.fetch_add(kShare)) < graph.count();) {
      lost.for_each(at, std::min(at + kShare, graph.count()), [&](std::uint32_t b) {
        for_each_pointer(graph, lost, b, [&](const Edge& e) { found[thread].insert(e.target); });
      });
    }
  });
  BlockSet held = std::move(found.front());
  for (unsigned i = 1; i < threads; ++i) held.insert(found[i]);
  return held;
}

class HeadChoice {
 public:
  HeadChoice(const ScanInput& input, const BlockSet& maybe_objects, const Graph& graph)
      : input_(input), maybe_objects_(maybe_objects), graph_(graph), is_vtable_(input.memory, input.roots) {}

  // Of the parts of `set` into which no pointer leads from another part, by address. parts.of(b) is a
  // number below the graph's count.
  template <typename Parts>
  std::vector<std::uint32_t> heads(const BlockSet& set, const Parts& parts) {
    constexpr std::uint32_t kTogether = 64;  // blocks whose targets are asked for at once
    BlockSet led(graph_.count());            // parts: a pointer comes from another one
    BlockSet started(graph_.count());        // a start pointer comes from its own part
    for (std::uint32_t at = 0; at < graph_.count(); at += kTogether) {
      const std::uint32_t end = std::min(at + kTogether, graph_.count());
      set.for_each(at, end, [&](std::uint32_t b) {
        for_each_pointer(graph_, set, b,
                         [&](const Edge& e) { __builtin_prefetch(&graph_.nodes[e.target]); });
      });
      set.for_each(at, end, [&](std::uint32_t b) {
        for_each_pointer(graph_, set, b, [&](const Edge& edge) {
          const std::uint32_t target = parts.of(edge.target);
          if (target != parts.of(b)) {
            led.insert(target);
          } else if (edge.is_start()) {
            started.insert(edge.target);
          }
        });
      });
    }
    HugeArray<std::uint32_t> best(graph_.count());  // by part: its head's number + 1
    set.for_each([&](std::uint32_t b) {
      const std::uint32_t part = parts.of(b);
      if (led.contains(part)) return;
      std::uint32_t& head = best[part];
      if (head == 0 || is_better(b, head - 1, started)) head = b + 1;
    });
    std::vector<std::uint32_t> heads;
    set.for_each([&](std::uint32_t b) {
      if (best[parts.of(b)] == b + 1) heads.push_back(b);
    });
    return heads;
  }

 private:
  bool is_better(std::uint32_t b, std::uint32_t head, const BlockSet& started) {
    if (started.contains(b) != started.contains(head)) return started.contains(head);
    return has_vtable(b) && !has_vtable(head);
  }

  bool has_vtable(std::uint32_t b) {
    if (!maybe_objects_.contains(b)) return false;
    const auto word = input_.memory.read_value<std::uint64_t>(graph_.blocks[b].start);
    return word && is_vtable_(*word);
  }

  const ScanInput& input_;
  const BlockSet& maybe_objects_;
  const Graph& graph_;
  VtableTest is_vtable_;
};

class Classifier {
 public:
  Classifier(const ScanInput& input, const ScanOptions& options, Graph& graph)
      : input_(input), options_(options), graph_(graph), lost_(lost_blocks(graph)) {}

  bool by_components(const BlockSet& maybe_objects) {
    HeadOrder order(graph_.count());
    Flood flood(graph_, order, options_.threads, input_.progress);
    const BlockSet held = held_blocks(graph_, lost_, options_.threads);
    BlockSet open = held.copy();
    BlockSet sources = lost_.copy();
    sources.remove(held);
    if (!flood.run(in_order(members(sources), order), open)) return false;
    BlockSet heads(graph_.count());
    const auto lead_from = [&](const std::vector<std::uint32_t>& found) {
      for (const std::uint32_t head : found) heads.insert(head);
      open = held.copy();
      open.remove(heads);
      return flood.run(in_order(found, order), open);
    };
    if (!open.empty()) {
      BlockSet left = open.copy();
      const auto of_groups = heads_of<TwoWayGroups>(left, maybe_objects);
      if (!of_groups || !lead_from(*of_groups)) return false;
      left.keep(open);
      if (!left.empty()) {
        const auto of_components = heads_of<Components>(left, maybe_objects);
        if (!of_components || !lead_from(*of_components)) return false;
      }
    }
    lost_.for_each([&](std::uint32_t b) { graph_.set(b, verdict(b, order)); });
    return true;
  }

  // As Valgrind: in the order of addresses, each block that none before it led to leads what it leads to.
  void by_address() {
    lost_.for_each([&](std::uint32_t b) { graph_.nodes[b].parent = b; });
    lost_.for_each([&](std::uint32_t b) {
      if (is_leader(b)) lead(b);
    });
    // A leader that a later one absorbed hands its group on.
    lost_.for_each([&](std::uint32_t b) {
      std::uint32_t head = b;
      while (graph_.nodes[head].parent != head) head = graph_.nodes[head].parent;
      for (std::uint32_t x = b; x != head;) {
        x = std::exchange(graph_.nodes[x].parent, head);
      }
      if (b == head && is_suppressed(b, Verdict::definitely_lost)) graph_.set(b, Verdict::suppressed);
    });
  }

  // Blocks that are suppressed for themselves.
  void suppress_others() {
    if (!input_.suppressed) return;
    for (std::uint32_t b = 0; b < graph_.count(); ++b) {
      const Verdict verdict = graph_.verdict(b);
      if ((verdict == Verdict::possibly_lost || verdict == Verdict::indirectly_lost) &&
          is_suppressed(b, verdict)) {
        graph_.set(b, Verdict::suppressed);
      }
    }
  }

 private:
  bool is_suppressed(std::uint32_t b, Verdict verdict) const {
    return input_.suppressed && input_.suppressed(input_.key ? input_.key(b) : 0, verdict);
  }

  static std::vector<std::uint32_t> members(const BlockSet& set) {
    std::vector<std::uint32_t> members;
    set.for_each([&](std::uint32_t b) { members.push_back(b); });
    return members;
  }

  // What a head that is not suppressed leads to is not suppressed either: those come first.
  std::vector<std::uint32_t> in_order(std::vector<std::uint32_t> heads, HeadOrder& order) const {
    if (!input_.suppressed) return heads;
    for (const std::uint32_t head : heads) {
      if (is_suppressed(head, Verdict::definitely_lost)) order.suppress(head);
    }
    std::sort(heads.begin(), heads.end(), std::cref(order));
    return heads;
  }

  // Of `left`, which no block outside of it leads to. Its blocks have no label yet, nor afterwards.
  template <typename Parts>
  std::optional<std::vector<std::uint32_t>> heads_of(const BlockSet& left,
                                                     const BlockSet& maybe_objects) {
    Parts parts(graph_, left);
    if (!parts.find(input_.progress)) return std::nullopt;
    auto heads = HeadChoice(input_, maybe_objects, graph_).heads(left, parts);
    left.for_each([&](std::uint32_t b) { graph_.nodes[b].parent = kNoParent; });
    return heads;
  }

  Verdict verdict(std::uint32_t b, const HeadOrder& order) const {
    const std::uint32_t head = graph_.nodes[b].parent;
    if (order.is_suppressed(head) && (b == head || options_.suppress_children)) {
      return Verdict::suppressed;
    }
    return b == head ? Verdict::definitely_lost : Verdict::indirectly_lost;
  }

  bool is_leader(std::uint32_t b) const { return graph_.verdict(b) == Verdict::definitely_lost; }

  // Everything that `head` leads to and that no earlier head took; earlier heads themselves.
  void lead(std::uint32_t head) {
    stack_.assign(1, head);
    while (!stack_.empty()) {
      const std::uint32_t b = stack_.back();
      stack_.pop_back();
      for_each_pointer(graph_, lost_, b, [&](const Edge& edge) {
        if (edge.target == head || !is_leader(edge.target)) return;
        graph_.set(edge.target, Verdict::indirectly_lost);
        graph_.nodes[edge.target].parent = head;
        stack_.push_back(edge.target);
      });
    }
  }

  const ScanInput& input_;
  const ScanOptions& options_;
  Graph& graph_;
  const BlockSet lost_;
  std::vector<std::uint32_t> stack_;
};

}  // namespace

bool classify_lost(const ScanInput& input, const ScanOptions& options,
                   const BlockSet& maybe_objects, Graph& graph) {
  if (input.progress && !input.progress(0, 1, "grouping what is lost")) return false;
  Classifier classifier(input, options, graph);
  if (options.leader == LeaderRule::valgrind) {
    classifier.by_address();
  } else if (!classifier.by_components(maybe_objects)) {
    return false;
  }
  classifier.suppress_others();
  return true;
}

}  // namespace heapledger
