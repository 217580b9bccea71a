// SPDX-License-Identifier: Apache-2.0
#include "analysis/outstanding.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>
#include <unordered_map>
#include <utility>

namespace heapledger {
namespace {

constexpr std::uint32_t kNoGroup = std::numeric_limits<std::uint32_t>::max();

bool same_frame(const CodeAddress& a, const CodeAddress& b) {
  return a.pc == b.pc && a.incarnation == b.incarnation;
}

struct Frames {
  const std::vector<OutstandingGroup>& groups;

  std::size_t operator()(std::uint32_t group) const {
    std::uint64_t hash = 0;
    for (const CodeAddress& frame : groups[group].stack) {
      hash = (hash ^ frame.pc ^ std::uint64_t{frame.incarnation} << 48) * 0x9e3779b97f4a7c15u;
      hash ^= hash >> 29;
    }
    return std::size_t(hash);
  }
  bool operator()(std::uint32_t a, std::uint32_t b) const {
    return std::ranges::equal(groups[a].stack, groups[b].stack, same_frame);
  }
};

// Which group a stack of the depot belongs to; stacks are looked at once each.
class Groups {
 public:
  Groups(const Ledger& ledger, const BlockShapes& shapes)
      : ledger_(ledger), shapes_(shapes), of_shape_(shapes.count(), kNoGroup) {}

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
    if (id >= of_stack_.size()) of_stack_.resize(std::size_t{id} + 1, kNoGroup);
    if (of_stack_[id] == kNoGroup) of_stack_[id] = find_or_add(id);
    return of_stack_[id];
  }

  std::uint32_t find_or_add(StackId id) {
    const auto fresh = std::uint32_t(groups_.size());
    groups_.emplace_back().stack = ledger_.stack(id);
    const auto [known, is_new] = by_frames_.emplace(fresh, fresh);
    if (!is_new) groups_.pop_back();
    return known->second;
  }

  const Ledger& ledger_;
  const BlockShapes& shapes_;
  std::vector<OutstandingGroup> groups_;
  std::vector<std::uint32_t> of_shape_;
  std::vector<std::uint32_t> of_stack_;
  std::unordered_map<std::uint32_t, std::uint32_t, Frames, Frames> by_frames_{16, Frames{groups_},
                                                                              Frames{groups_}};
};

bool passes(const Ledger& ledger, const Allocation& allocation, const OutstandingFilter& filter) {
  const std::uint64_t size = allocation.block.size;
  if (size < filter.min_size || size > filter.max_size) return false;
  if (!filter.older_ms) return true;
  // Of unknown age nothing can be said to be that old.
  const auto age = ledger.age_ms(allocation);
  return age && *age >= *filter.older_ms;
}

bool stack_before(const OutstandingGroup& a, const OutstandingGroup& b) {
  if (a.shape != b.shape) return a.shape < b.shape;
  return std::ranges::lexicographical_compare(
      a.stack, b.stack, [](const CodeAddress& x, const CodeAddress& y) {
        return std::pair(x.pc, x.incarnation) < std::pair(y.pc, y.incarnation);
      });
}

void sort_groups(std::vector<OutstandingGroup>& groups, OutstandingOrder order) {
  std::sort(groups.begin(), groups.end(),
            [&](const OutstandingGroup& a, const OutstandingGroup& b) {
              if (order == OutstandingOrder::age && a.oldest_ms != b.oldest_ms)
                return a.oldest_ms > b.oldest_ms;
              if (order == OutstandingOrder::count && a.count != b.count) return a.count > b.count;
              if (a.bytes != b.bytes) return a.bytes > b.bytes;
              if (a.count != b.count) return a.count > b.count;
              return stack_before(a, b);
            });
}

}  // namespace

std::vector<OutstandingGroup> group_by_stack(const Ledger& ledger, const OutstandingFilter& filter,
                                             OutstandingOrder order, const BlockShapes& shapes) {
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
  sort_groups(result, order);
  return result;
}

}  // namespace heapledger
