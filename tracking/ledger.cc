// SPDX-License-Identifier: Apache-2.0
#include "tracking/ledger.h"

#include <algorithm>

namespace heapledger {
namespace {

constexpr std::uint64_t kTimeBits = 30;        // of a slot
constexpr std::uint64_t kAlmostNow = 1 << 16;  // ticks a clock of another core may be ahead

// The parts of `range` that are mapped, neighbours as one.
std::vector<AddressRange> mapped_parts(AddressRange range, const Mappings& now) {
  std::vector<AddressRange> parts;
  auto at = std::partition_point(now.begin(), now.end(), [&](const Mapping& m) {
    return m.range.end <= range.begin;
  });
  for (; at != now.end() && at->range.begin < range.end; ++at) {
    const AddressRange part{std::max(at->range.begin, range.begin),
                            std::min(at->range.end, range.end)};
    if (!parts.empty() && parts.back().end == part.begin) {
      parts.back().end = part.end;
    } else {
      parts.push_back(part);
    }
  }
  return parts;
}

}  // namespace

const Allocation* Ledger::find(Address address) const {
  const auto holds = [&](const Allocation& a) {
    return address - a.block.start < std::max<std::uint64_t>(a.block.size, 1);
  };
  const auto after =
      std::upper_bound(allocations_.begin(), allocations_.end(), address,
                       [](Address value, const Allocation& a) { return value < a.block.start; });
  if (after == allocations_.begin()) return nullptr;
  if (holds(after[-1])) return &after[-1];
  // Between the heap blocks of a mapped segment.
  const auto next = std::upper_bound(
      mapped_.begin(), mapped_.end(), address,
      [&](Address value, std::size_t i) { return value < allocations_[i].block.start; });
  if (next == mapped_.begin() || !holds(allocations_[next[-1]])) return nullptr;
  return &allocations_[next[-1]];
}

void Ledger::keep_mapped(const Mappings& now) {
  std::vector<Allocation> kept;
  const std::uint64_t before = unseen_releases_;
  for (const std::size_t i : mapped_) {
    const Allocation& a = allocations_[i];
    const std::vector<AddressRange> parts = mapped_parts(a.block.range(), now);
    if (parts != std::vector{a.block.range()}) ++unseen_releases_;
    for (const AddressRange& part : parts) {
      kept.push_back(a);
      kept.back().block = {part.begin, part.size()};
    }
  }
  if (unseen_releases_ == before) return;
  std::erase_if(allocations_, [](const Allocation& a) { return bool(a.mapped); });
  add_mapped(kept);
}

void Ledger::add_mapped(std::span<const Allocation> segments) {
  mapped_.clear();
  if (segments.empty()) return;
  const auto heap_blocks = std::ptrdiff_t(allocations_.size());
  allocations_.insert(allocations_.end(), segments.begin(), segments.end());
  // A segment stands before the first block inside it.
  std::inplace_merge(allocations_.begin(), allocations_.begin() + heap_blocks, allocations_.end(),
                     [](const Allocation& a, const Allocation& b) {
                       if (a.block.start != b.block.start) return a.block.start < b.block.start;
                       return a.mapped && !b.mapped;
                     });
  for (std::size_t i = 0; i < allocations_.size(); ++i) {
    if (allocations_[i].mapped) mapped_.push_back(i);
  }
}

std::vector<CodeAddress> Ledger::stack(StackId id) const {
  std::vector<CodeAddress> frames;
  while (id != 0 && id < nodes_.size() && frames.size() < kMaxStack) {
    const agent::Node& node = nodes_[id];
    if (node.pc == 0) break;  // handed out, not yet filled
    frames.push_back({node.pc & ((Address{1} << kIncarnationShift) - 1),
                      std::uint16_t(node.pc >> kIncarnationShift), node.interrupted == 1});
    id = node.parent;
  }
  return frames;
}

std::uint32_t Ledger::tid(const Allocation& allocation) const {
  return allocation.thread < threads_.size() ? threads_[allocation.thread].tid : 0;
}

std::optional<std::uint64_t> Ledger::age_ms(const Allocation& allocation) const {
  if (ms_per_tick_ == 0) return std::nullopt;
  constexpr std::uint64_t kMask = (std::uint64_t{1} << kTimeBits) - 1;
  std::uint64_t ticks = (now_ticks_ - allocation.time) & kMask;
  if (ticks > kMask - kAlmostNow) ticks = 0;
  return std::uint64_t(double(ticks) * ms_per_tick_);
}

}  // namespace heapledger
