// SPDX-License-Identifier: Apache-2.0
#include "analysis/outstanding.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <tuple>
#include <utility>

namespace heapledger {
namespace {

constexpr std::uint32_t kNoGroup = std::numeric_limits<std::uint32_t>::max();

class Groups {
 public:
  Groups(const Ledger& ledger, const BlockShapes& shapes)
      : ledger_(ledger),
        shapes_(shapes),
        of_shape_(shapes.count(), kNoGroup),
        canonical_(ledger.canonical_stacks()),
        of_stack_(canonical_.size(), kNoGroup) {}

  std::uint32_t of_allocation(std::size_t number) {
    if (number < ledger_.recorded().size()) return of(ledger_.recorded()[number].stack);
    const std::uint32_t shape = shapes_.id_of(number - ledger_.recorded().size());
    if (of_shape_[shape] == kNoGroup) {
      of_shape_[shape] = std::uint32_t(groups_.size());
      groups_.emplace_back().shape = shape;
    }
    return of_shape_[shape];
  }

  std::vector<OutstandingGroup>& all() { return groups_; }

 private:
  std::uint32_t of(StackId id) {
    std::uint32_t& group = of_stack_[id < canonical_.size() ? canonical_[id] : 0];
    if (group == kNoGroup) {
      group = std::uint32_t(groups_.size());
      groups_.emplace_back().stack_id = id < canonical_.size() ? canonical_[id] : 0;
    }
    return group;
  }

  const Ledger& ledger_;
  const BlockShapes& shapes_;
  std::vector<OutstandingGroup> groups_;
  std::vector<std::uint32_t> of_shape_;
  std::vector<StackId> canonical_;
  std::vector<std::uint32_t> of_stack_;
};

bool passes(const Ledger& ledger, const Allocation& allocation, const OutstandingFilter& filter) {
  const std::uint64_t size = allocation.block.size;
  if (size < filter.min_size || size > filter.max_size) return false;
  if (!filter.older_ms) return true;
  // Of unknown age nothing can be said to be that old.
  const auto age = ledger.age_ms(allocation);
  return age && *age >= *filter.older_ms;
}

void sort_groups(const Ledger& ledger, std::vector<OutstandingGroup>& groups, OutstandingOrder order) {
  std::sort(groups.begin(), groups.end(),
            [&](const OutstandingGroup& a, const OutstandingGroup& b) {
              if (order == OutstandingOrder::age && a.oldest_ms != b.oldest_ms)
                return a.oldest_ms > b.oldest_ms;
              if (order == OutstandingOrder::count && a.count != b.count) return a.count > b.count;
              if (a.bytes != b.bytes) return a.bytes > b.bytes;
              if (a.count != b.count) return a.count > b.count;
              if (a.shape != b.shape) return a.shape < b.shape;
              return ledger.stack_before(a.stack_id, b.stack_id);
            });
}

}  // namespace

std::vector<OutstandingGroup> group_by_stack(const Ledger& ledger, const OutstandingFilter& filter,
                                             OutstandingOrder order, const BlockShapes& shapes,
                                             std::size_t limit) {
  Groups groups(ledger, shapes);
  for (std::size_t i = 0; i < ledger.count(); ++i) {
    const Allocation allocation = ledger.allocation(i);
    if (!passes(ledger, allocation, filter)) continue;
    OutstandingGroup& group = groups.all()[groups.of_allocation(i)];
    ++group.count;
    group.bytes += allocation.block.size;
    group.incomplete |= allocation.truncated;
    group.oldest_ms = std::max(group.oldest_ms, ledger.age_ms(allocation));
  }
  if (filter.list) {
    // Counted first: lists that grow would be copied several times over.
    for (OutstandingGroup& group : groups.all()) group.allocations.reserve(group.count);
    for (std::size_t i = 0; i < ledger.count(); ++i) {
      if (!passes(ledger, ledger.allocation(i), filter)) continue;
      groups.all()[groups.of_allocation(i)].allocations.push_back(std::uint32_t(i));
    }
  }
  std::vector<OutstandingGroup> result = std::move(groups.all());
  sort_groups(ledger, result, order);
  for (std::size_t i = 0; i < std::min(limit, result.size()); ++i) {
    result[i].stack = ledger.stack(result[i].stack_id);
  }
  return result;
}

}  // namespace heapledger
