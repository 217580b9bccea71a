// SPDX-License-Identifier: Apache-2.0
//
// What was recorded beside the allocator's own structures. Both lists are sorted, so one pass over both
// does; where they name the same address the record is worth more (requested bytes, stack, thread,
// age), as long as it can be about the same block. Nothing is copied: each list loses what the other
// says better.
#include <algorithm>

#include "tracking/ledger.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kMostSlack = 32;  // usable bytes of a small block beyond the requested ones
constexpr std::uint64_t kPage = 4096;

Address end_of(const Block& block) {
  return block.start + std::max<std::uint64_t>(block.size, 1);
}

// A record of before tracking stopped, of a block that may have been released and given out again.
bool may_be_same(const Allocation& record, const Block& used) {
  if (used.size < record.block.size) return false;
  if (used.size <= 24) return true;
  std::uint64_t slack = kMostSlack;
  if (used.size >= kPage) {  // it may be a mapping of its own: whole pages, and as much again as it is aligned to
    slack += kPage + (used.start & (~used.start + 1));
  }
  return used.size - record.block.size < slack;
}

}  // namespace

void Ledger::join_heap(std::vector<Block> used, bool recording) {
  std::size_t records = 0, blocks = 0;  // kept so far, at the front of either list
  std::size_t next = 0;                 // of the used blocks
  Address end = 0;                      // of the last heap block kept
  const auto keep_record = [&](const Allocation& record) {
    if (!record.mapped) end = end_of(record.block);
    recorded_[records++] = record;
  };
  const auto keep_block = [&](const Block& block) {
    if (block.start < end || end_of(block) < block.start) return;
    end = end_of(block);
    used[blocks++] = block;
  };
  // The next recorded heap block decides whether an untracked one would overlap it.
  const auto overlaps_next = [&](const Block& block, std::size_t record) {
    while (record < recorded_.size() && recorded_[record].mapped) ++record;
    return record < recorded_.size() && recorded_[record].block.start < end_of(block);
  };
  for (std::size_t i = 0; i < recorded_.size(); ++i) {
    const Allocation record = recorded_[i];
    for (; next < used.size() && used[next].start < record.block.start; ++next) {
      if (!(recording && overlaps_next(used[next], i))) keep_block(used[next]);
    }
    const bool same =
        !record.mapped && next < used.size() && used[next].start == record.block.start;
    if (recording || record.mapped || (same && may_be_same(record, used[next]))) {
      keep_record(record);
      next += same;
    } else if (same) {
      keep_block(used[next++]);
    }
  }
  for (; next < used.size(); ++next) keep_block(used[next]);
  recorded_.resize(records);
  find_mapped();
  used.resize(blocks);
  untracked_ = std::move(used);
}

}  // namespace heapledger
