// SPDX-License-Identifier: Apache-2.0
//
// Union-find whose links lead to lower numbers, so that one pass upwards makes them all direct. What a
// step will need of other blocks is asked for 64 blocks at a time.
#include "analysis/two_way_groups.h"

#include <algorithm>
#include <utility>

namespace heapledger {
namespace {

constexpr std::uint32_t kTogether = 64;  // blocks
constexpr int kMostLooks = 16;           // edges of a block; a pair is seen from its other end as well

}  // namespace

bool TwoWayGroups::find(const Progress& progress) {
  const auto each = [&](std::uint32_t at, auto&& visit) {
    set_.for_each(at, std::min(at + kTogether, graph_.count()), visit);
  };
  const auto each_target = [&](std::uint32_t at, auto&& visit) {
    each(at, [&](std::uint32_t b) {
      graph_.edges.for_each(graph_.nodes[b].row, [&](const Edge& edge) {
        visit(edge.target);
        return true;
      });
    });
  };
  set_.for_each([&](std::uint32_t b) { parent(b) = b; });
  for (std::uint32_t at = 0; at < graph_.count(); at += kTogether) {
    each_target(at, [&](std::uint32_t t) { __builtin_prefetch(&graph_.nodes[t]); });
    each_target(at, [&](std::uint32_t t) {
      const Row row = graph_.nodes[t].row;
      if ((row & kInlineRow) == 0) __builtin_prefetch(graph_.edges.at(row));
    });
    each(at, [&](std::uint32_t b) { join(b); });
    if (at % (1 << 20) == 0 && progress && !progress(at, graph_.count(), "grouping what is lost")) {
      return false;
    }
  }
  for (std::uint32_t at = 0; at < graph_.count(); at += kTogether) {
    each(at, [&](std::uint32_t b) { __builtin_prefetch(&graph_.nodes[parent(b)]); });
    each(at, [&](std::uint32_t b) { parent(b) = parent(parent(b)); });
  }
  return true;
}

std::uint32_t TwoWayGroups::first_of(std::uint32_t b) {
  while (parent(b) != b) b = parent(b) = parent(parent(b));
  return b;
}

bool TwoWayGroups::points_to(std::uint32_t source, std::uint32_t target) const {
  int looks = 0;
  return !graph_.edges.for_each(graph_.nodes[source].row, [&](const Edge& edge) {
    return edge.target != target && ++looks < kMostLooks;
  }) && looks < kMostLooks;
}

void TwoWayGroups::join(std::uint32_t b) {
  std::uint32_t own = first_of(b);
  graph_.edges.for_each(graph_.nodes[b].row, [&](const Edge& edge) {
    if (!set_.contains(edge.target)) return true;
    const std::uint32_t other = first_of(edge.target);
    if (other == own || !points_to(edge.target, b)) return true;
    parent(std::max(own, other)) = std::min(own, other);
    own = std::min(own, other);
    return true;
  });
}

}  // namespace heapledger
