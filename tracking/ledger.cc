// SPDX-License-Identifier: Apache-2.0
#include "tracking/ledger.h"

#include <algorithm>
#include <bit>

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

Allocation Ledger::allocation(std::size_t number) const {
  if (number < recorded_.size()) return recorded_[number];
  Allocation allocation;
  allocation.block = untracked_[number - recorded_.size()];
  allocation.untracked = true;
  return allocation;
}

std::optional<Allocation> Ledger::find(Address address) const {
  const auto number = number_at(address);
  if (!number) return std::nullopt;
  return allocation(*number);
}

std::optional<std::size_t> Ledger::number_at(Address address) const {
  const auto holds = [address](const Block& b) {
    return address - b.start < std::max<std::uint64_t>(b.size, 1);
  };
  const auto after =
      std::upper_bound(recorded_.begin(), recorded_.end(), address,
                       [](Address value, const Allocation& a) { return value < a.block.start; });
  if (after != recorded_.begin() && !after[-1].mapped && holds(after[-1].block)) {
    return std::size_t(after - recorded_.begin()) - 1;
  }
  const auto behind =
      std::upper_bound(untracked_.begin(), untracked_.end(), address,
                       [](Address value, const Block& b) { return value < b.start; });
  if (behind != untracked_.begin() && holds(behind[-1])) {
    return recorded_.size() + std::size_t(behind - untracked_.begin()) - 1;
  }
  // Between the heap blocks of a mapped segment.
  const auto next = std::upper_bound(
      mapped_.begin(), mapped_.end(), address,
      [&](Address value, std::size_t i) { return value < recorded_[i].block.start; });
  if (next == mapped_.begin() || !holds(recorded_[next[-1]].block)) return std::nullopt;
  return next[-1];
}

void Ledger::keep_mapped(const Mappings& now) {
  std::vector<Allocation> kept;
  const std::uint64_t before = unseen_releases_;
  for (const std::size_t i : mapped_) {
    const Allocation& a = recorded_[i];
    const std::vector<AddressRange> parts = mapped_parts(a.block.range(), now);
    if (parts != std::vector{a.block.range()}) ++unseen_releases_;
    for (const AddressRange& part : parts) {
      kept.push_back(a);
      kept.back().block = {part.begin, part.size()};
    }
  }
  if (unseen_releases_ == before) return;
  std::erase_if(recorded_, [](const Allocation& a) { return bool(a.mapped); });
  add_mapped(kept);
}

void Ledger::add_mapped(std::span<const Allocation> segments) {
  mapped_.clear();
  if (segments.empty()) return;
  const auto heap_blocks = std::ptrdiff_t(recorded_.size());
  recorded_.insert(recorded_.end(), segments.begin(), segments.end());
  // A segment stands before the first block inside it.
  std::inplace_merge(recorded_.begin(), recorded_.begin() + heap_blocks, recorded_.end(),
                     [](const Allocation& a, const Allocation& b) {
                       if (a.block.start != b.block.start) return a.block.start < b.block.start;
                       return a.mapped && !b.mapped;
                     });
  find_mapped();
}

void Ledger::find_mapped() {
  mapped_.clear();
  for (std::size_t i = 0; i < recorded_.size(); ++i) {
    if (recorded_[i].mapped) mapped_.push_back(i);
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

// A node's caller is there before it, so one pass does; a caller that is not is damage, and counts as none.
// Nothing is kept of a stack but its node: of a hostile depot each may be as long as a stack can be.
std::vector<StackId> Ledger::canonical_stacks() const {
  constexpr std::size_t kMostProbes = 1024;  // hashes that collide were made to: those stay apart
  std::vector<StackId> canonical(std::max<std::size_t>(nodes_.size(), 1));
  const auto caller = [&](StackId id) { return nodes_[id].parent < id ? canonical[nodes_[id].parent] : 0; };
  std::vector<StackId> table(std::bit_ceil(nodes_.size() * 2 + 1));  // open addressing; 0: empty
  for (StackId id = 1; id < nodes_.size(); ++id) {
    if (nodes_[id].pc == 0) continue;  // as stack() ends
    canonical[id] = id;
    const std::uint64_t hash = (nodes_[id].pc ^ std::uint64_t{caller(id)} << 20) * 0x9e3779b97f4a7c15;
    std::size_t slot = std::size_t(hash ^ hash >> 32) & (table.size() - 1);
    for (std::size_t probe = 0; probe < kMostProbes; ++probe, slot = (slot + 1) & (table.size() - 1)) {
      const StackId other = table[slot];
      if (other == 0) table[slot] = id;
      if (other == 0) break;
      if (nodes_[other].pc != nodes_[id].pc || caller(other) != caller(id)) continue;
      canonical[id] = other;
      break;
    }
  }
  return canonical;
}

bool Ledger::stack_before(StackId a, StackId b) const {
  constexpr int kCompared = 64;  // frames
  const auto node = [&](StackId id) { return id != 0 && id < nodes_.size() ? nodes_[id] : agent::Node{}; };
  agent::Node x = node(a), y = node(b);
  for (int i = 0; i < kCompared; ++i) {
    if (x.pc != y.pc) return x.pc < y.pc;
    x = node(x.parent);
    y = node(y.parent);
  }
  return a < b;
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
