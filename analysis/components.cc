// SPDX-License-Identifier: Apache-2.0
#include "analysis/components.h"

namespace heapledger {

bool Components::find(const Progress& progress) {
  set_.for_each([&](std::uint32_t b) { number(b) = 0; });
  std::uint64_t searches = 0;
  bool go_on = true;
  set_.for_each([&](std::uint32_t b) {
    if (!go_on || number(b) != 0) return;
    visit(b);
    if (++searches % 1024 == 0 && progress) {
      go_on = progress(b, graph_.count(), "grouping what is lost");
    }
  });
  return go_on;
}

void Components::enter(std::uint32_t b) {
  number(b) = next_index_++;
  path_.push_back({b, graph_.nodes[b].row});
}

void Components::visit(std::uint32_t first) {
  enter(first);
  while (!path_.empty()) {
    Frame& top = path_.back();
    const auto edge = graph_.edges.next(top.cursor);
    if (!edge) {
      leave();
    } else if (set_.contains(edge->target)) {
      if (number(edge->target) == 0) {
        enter(edge->target);
      } else {
        see(top, number(edge->target));
      }
    }
  }
}

void Components::leave() {
  const bool root = (path_.back().block & kNotRoot) == 0;
  const std::uint32_t b = path_.back().block & ~kNotRoot;
  path_.pop_back();
  if (root) {
    close(b);
  } else {
    open_.push_back(b);
  }
  if (!path_.empty()) see(path_.back(), number(b));
}

void Components::see(Frame& frame, std::uint32_t other) {
  std::uint32_t& own = number(frame.block & ~kNotRoot);
  if (other < own) {
    own = other;
    frame.block |= kNotRoot;
  }
}

void Components::close(std::uint32_t root) {
  --next_index_;
  while (!open_.empty() && number(open_.back()) >= number(root)) {
    number(open_.back()) = next_component_;
    open_.pop_back();
    --next_index_;
  }
  number(root) = next_component_--;
}

}  // namespace heapledger
