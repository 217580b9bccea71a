// SPDX-License-Identifier: Apache-2.0
//
// The graphs that scans are measured on: blocks of 64 bytes, in the order they were made.
//   list    one list through all of them, in that order
//   tree    a binary tree, children anywhere: every step of the mark is a cache miss
//   random  two pointers each to anywhere
//   lost    as random, and no root
//   knot    as tree, each block points back to its parent as well, and no root: all of it one cycle
// The rest of a block is numbers that are no addresses.
#pragma once

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace heapledger {

enum Shape { list, tree, random_graph, lost, knot };
inline bool all_lost(Shape shape) { return shape == lost || shape == knot; }

constexpr std::uint64_t kGraphBlockSize = 64;  // bytes

// block(i): the i-th block's words. `root` gets the pointer to the first one.
template <typename BlockAt>
void draw(std::uint64_t* root, std::uint64_t blocks, Shape shape, BlockAt&& block) {
  const auto address = [&](std::uint64_t i) { return reinterpret_cast<std::uint64_t>(block(i)); };
  std::mt19937_64 random(1);
  *root = all_lost(shape) ? 0 : address(0);
  std::vector<std::uint32_t> order;
  if (shape == tree || shape == knot) {
    order.resize(blocks);
    for (std::uint32_t i = 0; i < blocks; ++i) order[i] = i;
    for (std::uint64_t i = blocks - 1; i > 1; --i) std::swap(order[i], order[1 + random() % i]);
  }
  for (std::uint64_t i = 0; i < blocks; ++i) {
    block(i)[0] = block(i)[1] = 0;
    for (std::uint64_t w = 2; w < kGraphBlockSize / 8; ++w) block(i)[w] = random() & 0xffffffff;
  }
  for (std::uint64_t i = 0; i < blocks; ++i) {
    switch (shape) {
      case list:
        if (i + 1 < blocks) block(i)[0] = address(i + 1);
        break;
      case knot:
        if (i > 0) block(order[i])[2] = address(order[(i - 1) / 2]);
        [[fallthrough]];
      case tree:
        if (2 * i + 1 < blocks) block(order[i])[0] = address(order[2 * i + 1]);
        if (2 * i + 2 < blocks) block(order[i])[1] = address(order[2 * i + 2]);
        break;
      case random_graph:
      case lost:
        block(i)[0] = address(random() % blocks);
        block(i)[1] = address(random() % blocks);
        break;
    }
  }
}

}  // namespace heapledger
