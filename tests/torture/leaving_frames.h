// SPDX-License-Identifier: Apache-2.0
//
// Frames that are left other than by returning: by exceptions, also operator new's own, and by longjmp.
#pragma once

#include <setjmp.h>

#include <new>
#include <stdexcept>
#include <string>

#include "tests/torture/worker.h"

namespace torture {

struct OwnsBlock {
  explicit OwnsBlock(Random& random) : block(allocate(random)) {}
  ~OwnsBlock() { release(block); }
  OwnsBlock(const OwnsBlock&) = delete;
  OwnsBlock& operator=(const OwnsBlock&) = delete;
  Block block;
};

NOINLINE inline int throw_from(int depth, Random& random) {
  const OwnsBlock owner(random);
  if (depth == 0) throw std::runtime_error(std::string(50 + random() % 100, 'e'));
  return throw_from(depth - 1, random) + int(owner.block.size);
}

inline void throw_through_frames(Worker& w) {
  try {
    throw_from(int(w.random() % 10), w.random);
    wrong("an exception was not thrown");
  } catch (const std::runtime_error& error) {
    must(error.what()[0] == 'e', "an exception lost its text");
    if (w.blocks.size() < kMostBlocks) w.blocks.push_back(allocate(w.random));
  }
}

NOINLINE inline void impossible_new(Worker& w) {
  try {
    void* volatile none = ::operator new(std::size_t{1} << 62);
    must(none == nullptr, "an impossible operator new returned");
    wrong("operator new returned null");
  } catch (const std::bad_alloc&) {
    w.blocks.push_back(allocate(w.random));
  }
}

NOINLINE inline void jump_from(int depth, Worker& w, jmp_buf& back) {
  volatile char frame[100];
  frame[0] = char(depth);
  w.blocks.push_back(allocate(w.random));
  if (depth == 0) longjmp(back, 1);
  jump_from(depth - 1, w, back);
  frame[1] = 0;
}

NOINLINE inline void jump_out(Worker& w) {
  jmp_buf back;
  if (setjmp(back) == 0) jump_from(3, w, back);
  for (int i = 0; i < 4; ++i) {
    release(w.blocks.back());
    w.blocks.pop_back();
  }
}

}  // namespace torture
