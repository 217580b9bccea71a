// SPDX-License-Identifier: Apache-2.0
//
// The recorded blocks and those of the allocator's own structures made one list. Both are sorted, so
// one pass over both does; where they name the same address the record is worth more (requested
// bytes, stack, thread, age), as long as it can be about the same block.
#include <algorithm>

#include "tracking/ledger.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kMostSlack = 32;  // usable bytes of a small block beyond the requested ones

Allocation untracked_block(const Block& block) {
  Allocation allocation;
  allocation.block = block;
  allocation.untracked = true;
  return allocation;
}

// A record of before tracking stopped, of a block that may have been released and given out again.
bool may_be_same(const Allocation& record, const Block& used) {
  constexpr std::uint64_t kLarge = 1 << 12;  // aligned and mapped blocks: slack of whole pages
  return record.block.size <= used.size &&
         (used.size >= kLarge || used.size < record.block.size + kMostSlack || used.size <= 24);
}

}  // namespace

void Ledger::join_heap(std::span<const Block> used, bool recording) {
  std::vector<Allocation> joined;
  joined.reserve(allocations_.empty() ? used.size() : allocations_.size() + used.size());
  mapped_.clear();
  untracked_ = 0;
  Address end = 0;  // of the last heap block taken
  const auto take = [&](const Allocation& allocation) {
    if (allocation.mapped) {
      mapped_.push_back(joined.size());
    } else {
      end = allocation.block.start + std::max<std::uint64_t>(allocation.block.size, 1);
    }
    untracked_ += allocation.untracked;
    joined.push_back(allocation);
  };
  // The next recorded heap block decides whether an untracked one would overlap it.
  const auto overlaps_next = [&](const Block& block, std::size_t record) {
    while (record < allocations_.size() && allocations_[record].mapped) ++record;
    return record < allocations_.size() &&
           allocations_[record].block.start < block.start + std::max<std::uint64_t>(block.size, 1);
  };
  std::size_t next = 0;
  for (std::size_t i = 0; i < allocations_.size() || next < used.size();) {
    const bool record_first =
        i < allocations_.size() &&
        (next == used.size() || allocations_[i].block.start <= used[next].start);
    if (record_first) {
      const Allocation& record = allocations_[i++];
      const Block* same = next < used.size() && !record.mapped &&
                                  used[next].start == record.block.start
                              ? &used[next]
                              : nullptr;
      if (same != nullptr) ++next;
      const bool holds = recording || record.mapped || (same != nullptr && may_be_same(record, *same));
      if (holds) {
        take(record);
      } else if (same != nullptr) {
        take(untracked_block(*same));
      }
      continue;
    }
    const Block& block = used[next++];
    if (block.start >= end && !(recording && overlaps_next(block, i))) take(untracked_block(block));
  }
  allocations_ = std::move(joined);
}

}  // namespace heapledger
