// SPDX-License-Identifier: Apache-2.0
//
// From a word to the block it points into, with one cache miss: a cache line per 4 KiB page of heap.
//
//   directory[address >> 26]  -> leaf: 64 MiB, the lines of its pages from the first to the last one
//                                in which a block starts
//   line: start_bit[4]        256 granules of 16 bytes, 1 where a block starts
//         rank                how many blocks start before this page
//
//   block = rank + popcount(start bits up to the address) - 1
//
// A start pointer is decided by its bit; an interior pointer also needs the block's end. Pages with a
// block that is not 16-byte aligned are marked and searched by binary search among their blocks.
// 1.6 % of the heap's pages, and nothing for pages in the middle of a leafless block.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "analysis/huge_array.h"
#include "inferior/block.h"

namespace heapledger {

class BlockIndex {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr unsigned kAddressBits = 47;  // of user space

  BlockIndex() = default;
  // `blocks`: sorted, disjoint (zero-size ones count as one byte), in user space, fewer than 2^29, must
  // outlive this.
  explicit BlockIndex(std::span<const Block> blocks);

  // The last block that starts at or below an address: the address may lie behind its end.
  struct Candidate {
    std::uint32_t block = kNone;  // kNone: certainly in no block
    bool start = false;           // certainly its start
  };
  Candidate candidate(Address address) const {
    if (address >> kAddressBits != 0) return {};
    const std::uint32_t leaf_number = directory_[address >> kLeafShift];
    if (leaf_number == 0) return {};
    const Leaf& leaf = leaves_[leaf_number];
    const std::uint32_t page = (address >> kPageShift & kPageMask) - leaf.first_page;
    if (page >= leaf.page_count) {
      return {std::int32_t(page) < 0 ? leaf.before : leaf.after};  // may be kNone
    }
    const Line& line = lines_[leaf.first_line + page];
    if (line.odd) return {search(line, leaf.first_line + page, address)};
    const unsigned granule = address >> 4 & 255;
    const unsigned word = granule >> 6;
    const std::uint64_t upto = ~std::uint64_t{0} >> (63 - (granule & 63));
    const std::uint64_t starts = line.start_bit[word] & upto;
    return {line.rank + line.prefix(word) + static_cast<unsigned>(std::popcount(starts)) - 1,  // -1 is kNone
            (starts >> (granule & 63) & 1) != 0 && (address & 15) == 0};
  }

  // The candidates of words[at[0..count)], with the processor's popcount where it has one.
  void candidates(const std::uint64_t* words, const std::uint32_t* at, std::size_t count,
                  Candidate* out) const;

  // The block whose [start, start + max(size, 1)) contains the address.
  std::optional<std::uint32_t> find(Address address) const {
    const std::uint32_t i = candidate(address).block;
    if (i == kNone) return std::nullopt;
    const Block& b = blocks_[i];
    if (address - b.start >= (b.size == 0 ? 1 : b.size)) return std::nullopt;
    return i;
  }

  void prefetch(Address address) const {
    if (address >> kAddressBits != 0) return;
    const Leaf& leaf = leaves_[directory_[address >> kLeafShift]];
    const std::uint32_t page = (address >> kPageShift & kPageMask) - leaf.first_page;
    if (page < leaf.page_count) __builtin_prefetch(&lines_[leaf.first_line + page]);
  }

  // First block that ends after `address` (blocks().size() when there is none).
  std::uint32_t first_ending_after(Address address) const;

 private:
  static constexpr unsigned kLeafShift = 26;
  static constexpr unsigned kPageShift = 12;
  static constexpr std::uint32_t kPageMask = (1u << (kLeafShift - kPageShift)) - 1;

  struct alignas(64) Line {
    std::uint64_t start_bit[4];
    std::uint32_t rank;
    std::uint8_t before[3];  // starts in words 0, 0..1, 0..2; 192 at most
    bool odd;
    std::uint32_t prefix(unsigned word) const { return word == 0 ? 0 : before[word - 1]; }
  };
  static_assert(sizeof(Line) == 64);
  struct Leaf {
    std::uint32_t first_page = 0;
    std::uint32_t page_count = 0;
    std::uint32_t first_line = 0;
    std::uint32_t before = kNone;  // block for addresses below the first page
    std::uint32_t after = kNone;   // and behind the last
  };

  std::uint32_t search(const Line& line, std::uint32_t line_number, Address address) const;
  void make_leaves();
  void fill_lines();

  std::span<const Block> blocks_;
  HugeArray<std::uint32_t> directory_;  // 0: nothing there; otherwise a position in leaves_
  std::vector<Leaf> leaves_;            // [0] is empty
  HugeArray<Line> lines_;               // one more than in use, for search
};

}  // namespace heapledger
