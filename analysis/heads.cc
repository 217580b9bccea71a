// SPDX-License-Identifier: Apache-2.0
#include "analysis/heads.h"

#include <algorithm>
#include <vector>

#include "analysis/heuristics.h"

namespace heapledger {
namespace {

class LostGraph {
 public:
  explicit LostGraph(Graph& graph) : graph_(graph) {
    for (std::uint32_t b = 0; b < graph.count(); ++b) {
      if (graph.verdict(b) == Verdict::definitely_lost) lost_.push_back(b);
    }
  }

  const std::vector<std::uint32_t>& blocks() const { return lost_; }
  bool contains(std::uint32_t b) const { return graph_.verdict(b) == Verdict::definitely_lost; }

  // Calls visit(edge) for every pointer from a lost block to another one.
  template <typename Visit>
  void for_each(std::uint32_t source, Visit&& visit) const {
    graph_.edges.for_each(graph_.nodes[source].row, [&](const Edge& edge) {
      if (contains(edge.target)) visit(edge);
      return true;
    });
  }

 private:
  Graph& graph_;
  std::vector<std::uint32_t> lost_;
};

// Strongly connected components, Pearce's variant of Tarjan's algorithm (Pearce 2016, "A
// space-efficient algorithm for finding strongly connected components"): one number per block, kept
// in Node::parent, is first the order of the visit and then the component's. Iterative: a lost list
// may be ten million blocks long.
class Components {
 public:
  Components(Graph& graph, const LostGraph& lost) : graph_(graph) {
    for (const std::uint32_t b : lost.blocks()) number(b) = 0;
    for (const std::uint32_t b : lost.blocks()) {
      if (number(b) == 0) visit(b, lost);
    }
  }

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

  void enter(std::uint32_t b) {
    number(b) = next_index_++;
    path_.push_back({b, graph_.nodes[b].row});
  }

  void visit(std::uint32_t first, const LostGraph& lost) {
    enter(first);
    while (!path_.empty()) {
      Frame& top = path_.back();
      const std::uint32_t b = top.block & ~kNotRoot;
      const auto edge = graph_.edges.next(top.cursor);
      if (edge) {
        if (!lost.contains(edge->target)) continue;
        if (number(edge->target) == 0) {
          enter(edge->target);
        } else {
          see(top, number(edge->target));
        }
        continue;
      }
      const bool root = (top.block & kNotRoot) == 0;
      path_.pop_back();
      if (root) {
        close(b);
      } else {
        open_.push_back(b);
      }
      if (!path_.empty()) see(path_.back(), number(b));
    }
  }

  void see(Frame& frame, std::uint32_t other) {
    std::uint32_t& own = number(frame.block & ~kNotRoot);
    if (other < own) {
      own = other;
      frame.block |= kNotRoot;
    }
  }

  void close(std::uint32_t root) {
    --next_index_;
    while (!open_.empty() && number(open_.back()) >= number(root)) {
      number(open_.back()) = next_component_;
      open_.pop_back();
      --next_index_;
    }
    number(root) = next_component_--;
  }

  Graph& graph_;
  std::uint32_t next_index_ = 1;
  std::uint32_t next_component_ = kFirst;
  std::vector<Frame> path_;
  std::vector<std::uint32_t> open_;
};

class HeadChoice {
 public:
  HeadChoice(const ScanInput& input, const HugeArray<std::uint8_t>& traits, const Graph& graph)
      : input_(input), traits_(traits), graph_(graph), is_vtable_(input.memory, input.roots) {}

  // By address.
  std::vector<std::uint32_t> heads(const LostGraph& lost, const Components& components) {
    std::vector<bool> led(components.count());                // a pointer comes from another component
    std::vector<bool> started(graph_.blocks.size());          // a start pointer comes from its own
    for (const std::uint32_t b : lost.blocks()) {
      lost.for_each(b, [&](const Edge& edge) {
        const std::uint32_t target = components.of(edge.target);
        if (target != components.of(b)) {
          led[target] = true;
        } else if (edge.is_start()) {
          started[edge.target] = true;
        }
      });
    }
    std::vector<std::uint32_t> best(components.count(), kNoParent);
    for (const std::uint32_t b : lost.blocks()) {
      const std::uint32_t component = components.of(b);
      if (led[component]) continue;
      std::uint32_t& head = best[component];
      if (head == kNoParent || (started[head] && !started[b]) ||
          (started[head] == started[b] && has_vtable(b) && !has_vtable(head))) {
        head = b;
      }
    }
    std::erase(best, kNoParent);
    std::sort(best.begin(), best.end());
    return best;
  }

 private:
  bool has_vtable(std::uint32_t b) {
    if ((traits_[b] & BlockTraits::kMaybeVtable) == 0) return false;
    const auto word = input_.memory.read_value<std::uint64_t>(graph_.blocks[b].start);
    return word && is_vtable_(*word);
  }

  const ScanInput& input_;
  const HugeArray<std::uint8_t>& traits_;
  const Graph& graph_;
  VtableTest is_vtable_;
};

class Classifier {
 public:
  Classifier(const ScanInput& input, const ScanOptions& options, Graph& graph)
      : input_(input), options_(options), graph_(graph) {}

  void by_components(const LostGraph& lost, const HugeArray<std::uint8_t>& traits) {
    std::vector<std::uint32_t> heads;
    {
      const Components components(graph_, lost);
      heads = HeadChoice(input_, traits, graph_).heads(lost, components);
    }
    for (const std::uint32_t head : heads) graph_.nodes[head].parent = head;
    // What a head that is not suppressed leads to is not suppressed either.
    const auto suppressed = std::stable_partition(
        heads.begin(), heads.end(),
        [this](std::uint32_t head) { return !is_suppressed(head, Verdict::definitely_lost); });
    for (auto head = heads.begin(); head != suppressed; ++head) {
      lead(lost, *head, Verdict::indirectly_lost);
    }
    for (auto head = suppressed; head != heads.end(); ++head) {
      lead(lost, *head, options_.suppress_children ? Verdict::suppressed : Verdict::indirectly_lost);
    }
    for (auto head = suppressed; head != heads.end(); ++head) graph_.set(*head, Verdict::suppressed);
  }

  void by_address(const LostGraph& lost) {
    for (const std::uint32_t b : lost.blocks()) graph_.nodes[b].parent = b;
    for (const std::uint32_t b : lost.blocks()) {
      if (lost.contains(b)) lead(lost, b, Verdict::indirectly_lost);
    }
    // A leader that a later one absorbed hands its group on.
    for (const std::uint32_t b : lost.blocks()) {
      std::uint32_t head = b;
      while (graph_.nodes[head].parent != head) head = graph_.nodes[head].parent;
      for (std::uint32_t x = b; x != head;) {
        x = std::exchange(graph_.nodes[x].parent, head);
      }
      if (b == head && is_suppressed(b, Verdict::definitely_lost)) graph_.set(b, Verdict::suppressed);
    }
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
    return input_.suppressed && input_.suppressed(input_.keys.empty() ? 0 : input_.keys[b], verdict);
  }

  // Everything that `head` leads to and that no earlier head took.
  void lead(const LostGraph& lost, std::uint32_t head, Verdict verdict) {
    stack_.assign(1, head);
    while (!stack_.empty()) {
      const std::uint32_t b = stack_.back();
      stack_.pop_back();
      lost.for_each(b, [&](const Edge& edge) {
        if (edge.target == head) return;
        graph_.set(edge.target, verdict);
        graph_.nodes[edge.target].parent = head;
        stack_.push_back(edge.target);
      });
    }
  }

  const ScanInput& input_;
  const ScanOptions& options_;
  Graph& graph_;
  std::vector<std::uint32_t> stack_;
};

}  // namespace

bool classify_lost(const ScanInput& input, const ScanOptions& options,
                   const HugeArray<std::uint8_t>& traits, Graph& graph) {
  if (input.progress && !input.progress(0, 1, "grouping what is lost")) return false;
  const LostGraph lost(graph);
  Classifier classifier(input, options, graph);
  if (options.leader == LeaderRule::valgrind) {
    classifier.by_address(lost);
  } else {
    classifier.by_components(lost, traits);
  }
  classifier.suppress_others();
  return true;
}

}  // namespace heapledger
