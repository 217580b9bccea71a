// SPDX-License-Identifier: Apache-2.0
#include "analysis/block_index.h"

#include <gtest/gtest.h>

#include <random>

#include "analysis/word_filter.h"

namespace heapledger {
namespace {

std::optional<std::uint32_t> naive(const std::vector<Block>& blocks, Address a) {
  for (std::uint32_t i = 0; i < blocks.size(); ++i) {
    if (a >= blocks[i].start && a - blocks[i].start < std::max<std::uint64_t>(blocks[i].size, 1)) return i;
  }
  return std::nullopt;
}

TEST(BlockIndex, FindsEveryByteOfRandomBlocks) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    std::vector<Block> blocks;
    // Half of the seeds place blocks as malloc does, the others at any byte.
    const Address step = seed % 2 == 0 ? 16 : 1;
    Address at = 0x7f0003fff000;  // around a leaf's border
    for (int i = 0; i < 200; ++i) {
      blocks.push_back({at, random() % 200});
      at += std::max<std::uint64_t>(blocks.back().size, 1) + step;
      if (random() % 20 == 0) at += random() % 0x8000000;
      at = (at + step - 1) / step * step;
    }
    const BlockIndex index(blocks);
    for (const Block& b : blocks) {
      for (std::int64_t offset = -2; offset <= static_cast<std::int64_t>(b.size) + 2; ++offset) {
        ASSERT_EQ(index.find(b.start + offset), naive(blocks, b.start + offset)) << "seed " << seed;
      }
    }
  }
}

TEST(BlockIndex, FindsTheInsideOfBlocksLongerThanALeaf) {
  const std::vector<Block> blocks{{0x10000000, 300 << 20}, {0x7f0000000010, 16}};
  const BlockIndex index(blocks);
  EXPECT_EQ(index.find(0x10000000 + (299ull << 20)), 0u);
  EXPECT_EQ(index.find(0x10000000 + (300ull << 20) - 1), 0u);
  EXPECT_EQ(index.find(0x10000000 + (300ull << 20)), std::nullopt);
  EXPECT_EQ(index.find(0xfffffff), std::nullopt);
  EXPECT_EQ(index.find(0x7f0000000010), 1u);
  EXPECT_EQ(index.find(0x8000000000000000), std::nullopt);
  EXPECT_EQ(index.find(UINT64_MAX), std::nullopt);
}

TEST(BlockIndex, OfNothingFindsNothing) {
  EXPECT_EQ(BlockIndex(std::span<const Block>{}).find(0x1000), std::nullopt);
}

TEST(WordFilter, KeepsWhatMayPointIntoABlockInOrder) {
  const std::vector<Block> blocks{{0x55000000, 64}, {0x55000100, 64}, {0x7f0000000000, 64}};
  const WordFilter filter(blocks);
  std::vector<std::uint64_t> words(100, 7);
  words[0] = 0x55000000;
  words[3] = 0x54ffffff;
  words[50] = 0x7f000000003f;
  words[64] = 0x7f0000001000;
  words[98] = 0x55000120;
  words[99] = 0xffffffff55000000;
  std::vector<std::uint32_t> out(words.size() + 8);
  out.resize(filter.select(words, out.data()));
  EXPECT_EQ(out, (std::vector<std::uint32_t>{0, 50, 98}));
}

}  // namespace
}  // namespace heapledger
