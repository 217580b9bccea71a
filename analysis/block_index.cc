// SPDX-License-Identifier: Apache-2.0
#include "analysis/block_index.h"

#include <algorithm>

namespace heapledger {
namespace {

[[gnu::target("popcnt")]] void candidates_popcnt(const BlockIndex& index, const std::uint64_t* words,
                                                 const std::uint32_t* at, std::size_t count,
                                                 BlockIndex::Candidate* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = index.candidate(words[at[i]]);
}

}  // namespace

BlockIndex::BlockIndex(std::span<const Block> blocks)
    : blocks_(blocks), directory_(std::size_t{1} << (kAddressBits - kLeafShift),
                 HugeArray<std::uint32_t>::Pages::small) {
  leaves_.emplace_back();
  make_leaves();
  fill_lines();
}

void BlockIndex::make_leaves() {
  std::uint32_t line_count = 0;
  const std::uint32_t count = static_cast<std::uint32_t>(blocks_.size());
  for (std::uint32_t i = 0; i < count;) {
    // One leaf: all blocks that start in it.
    const Address leaf_address = blocks_[i].start >> kLeafShift;
    const Address leaf_end = (leaf_address + 1) << kLeafShift;
    const auto next = std::partition_point(blocks_.begin() + i, blocks_.end(),
                                           [&](const Block& b) { return b.start < leaf_end; });
    const auto end = static_cast<std::uint32_t>(next - blocks_.begin());
    Leaf leaf;
    leaf.first_page = blocks_[i].start >> kPageShift & kPageMask;
    leaf.page_count = (blocks_[end - 1].start >> kPageShift & kPageMask) - leaf.first_page + 1;
    leaf.first_line = line_count;
    leaf.before = i == 0 ? kNone : i - 1;
    leaf.after = end - 1;
    line_count += leaf.page_count;
    directory_[leaf_address] = static_cast<std::uint32_t>(leaves_.size());
    leaves_.push_back(leaf);

    // Leaves in which nothing starts but its last block still lies.
    const Block& last = blocks_[end - 1];
    const Address last_leaf = last.size == 0 ? leaf_address : (last.start + last.size - 1) >> kLeafShift;
    const Address next_leaf = end == count ? last_leaf + 1 : blocks_[end].start >> kLeafShift;
    if (last_leaf > leaf_address && leaf_address + 1 < next_leaf) {
      Leaf inside;
      inside.first_page = kPageMask + 1;
      inside.before = end - 1;
      leaves_.push_back(inside);
      for (Address a = leaf_address + 1; a <= last_leaf && a < next_leaf; ++a) {
        directory_[a] = static_cast<std::uint32_t>(leaves_.size() - 1);
      }
    }
    i = end;
  }
  lines_ = HugeArray<Line>(line_count + 1);
}

void BlockIndex::fill_lines() {
  std::uint32_t i = 0;
  const std::uint32_t count = static_cast<std::uint32_t>(blocks_.size());
  for (const Leaf& leaf : leaves_) {
    if (leaf.page_count == 0) continue;
    Address page = (blocks_[i].start >> kPageShift) << kPageShift;
    for (std::uint32_t p = 0; p < leaf.page_count; ++p, page += Address{1} << kPageShift) {
      Line& line = lines_[leaf.first_line + p];
      line.rank = i;
      const Address page_end = page + (Address{1} << kPageShift);
      for (; i < count && blocks_[i].start < page_end; ++i) {
        const unsigned granule = blocks_[i].start >> 4 & 255;
        if ((blocks_[i].start & 15) != 0) line.odd = true;
        line.start_bit[granule >> 6] |= std::uint64_t{1} << (granule & 63);
      }
      unsigned sum = 0;
      for (unsigned word = 0; word < 3; ++word) {
        sum += static_cast<unsigned>(std::popcount(line.start_bit[word]));
        line.before[word] = static_cast<std::uint8_t>(sum);
      }
    }
  }
  lines_[lines_.size() - 1].rank = count;
}

void BlockIndex::candidates(const std::uint64_t* words, const std::uint32_t* at, std::size_t count,
                            Candidate* out) const {
  static const bool popcnt = __builtin_cpu_supports("popcnt");
  if (popcnt) return candidates_popcnt(*this, words, at, count, out);
  for (std::size_t i = 0; i < count; ++i) out[i] = candidate(words[at[i]]);
}

std::uint32_t BlockIndex::search(const Line& line, std::uint32_t line_number, Address address) const {
  const auto begin = blocks_.begin() + line.rank;
  const auto end = blocks_.begin() + lines_[line_number + 1].rank;
  const auto after = std::upper_bound(begin, end, address,
                                      [](Address a, const Block& b) { return a < b.start; });
  return static_cast<std::uint32_t>(after - blocks_.begin()) - 1;
}

std::uint32_t BlockIndex::first_ending_after(Address address) const {
  const auto it = std::partition_point(blocks_.begin(), blocks_.end(), [&](const Block& b) {
    return b.start + (b.size == 0 ? 1 : b.size) <= address;
  });
  return static_cast<std::uint32_t>(it - blocks_.begin());
}

}  // namespace heapledger
