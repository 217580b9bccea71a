// SPDX-License-Identifier: Apache-2.0
//
// A thread of the torture program and the blocks it has; how it makes one below other frames and hands one
// to another thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "tests/programs/truth.h"
#include "tests/torture/blocks.h"

namespace torture {

inline constexpr std::size_t kMostBlocks = 200;  // of a thread, about

struct Worker {
  Worker(std::uint64_t seed, std::vector<Block> from_before)
      : random(seed), blocks(std::move(from_before)) {}
  Random random;
  std::vector<Block> blocks;
};

// A place where one thread leaves a block and another takes it. The record travels with it.
inline std::array<std::atomic<Block*>, 64> exchange;

inline Block take_any(Worker& w) {
  std::swap(w.blocks[w.random() % w.blocks.size()], w.blocks.back());
  const Block b = w.blocks.back();
  w.blocks.pop_back();
  return b;
}

NOINLINE inline Block allocate_below(int depth, Random& random) {
  volatile char frame[64];
  frame[0] = char(depth);
  const Block b = depth == 0 ? allocate(random) : allocate_below(depth - 1, random);
  frame[1] = 0;
  return b;
}

inline void hand_over(Worker& w) {
  if (w.blocks.empty()) return;
  auto* mine = new Block(take_any(w));
  if (Block* other = exchange[w.random() % exchange.size()].exchange(mine)) {
    w.blocks.push_back(*other);
    delete other;
  }
}

}  // namespace torture
