// SPDX-License-Identifier: Apache-2.0
//
// A forked child that allocates and tells, through shared memory, what it did. It stops twice:
// before (what the test program itself holds) and after, so that the difference must be exactly the
// log.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "heap/glibc_walk.h"
#include "inferior/local_memory.h"
#include "tests/inferior/child.h"

namespace heapledger {

// In shared memory; addresses are stored inverted so that no scan takes the log for an owner.
class Log {
 public:
  static Log& create() {
    void* at =
        mmap(nullptr, sizeof(Log), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return *new (at) Log;
  }
  static void destroy(Log& log) { munmap(&log, sizeof(Log)); }

  void* keep(void* block, std::size_t size) {
    entries_[count_++] = {~reinterpret_cast<Address>(block), size, false};
    return block;
  }
  void release(void* block) {  // and free it
    forget(block);
    std::free(block);
  }
  void forget(void* block) {
    for (std::size_t i = count_; i-- > 0;) {
      if (entries_[i].inverse == ~reinterpret_cast<Address>(block) && !entries_[i].freed) {
        entries_[i].freed = true;
        return;
      }
    }
    std::abort();
  }
  void note(std::uint64_t value) { notes_[note_count_++] = value; }

  std::vector<Block> live() const { return select(false); }
  std::vector<Block> freed() const { return select(true); }
  std::uint64_t noted(std::size_t i) const { return notes_[i]; }

 private:
  struct Entry {
    Address inverse;
    std::size_t size;
    bool freed;
  };
  std::vector<Block> select(bool freed) const {
    std::vector<Block> blocks;
    for (std::size_t i = 0; i < count_; ++i) {
      if (entries_[i].freed == freed) {
        blocks.push_back({~entries_[i].inverse, entries_[i].size});
      }
    }
    std::sort(blocks.begin(), blocks.end(), [](auto& a, auto& b) { return a.start < b.start; });
    return blocks;
  }

  std::atomic<std::size_t> count_ = 0;
  std::atomic<std::size_t> note_count_ = 0;
  std::uint64_t notes_[64] = {};
  Entry entries_[20000] = {};
};

inline HeapWalk walk_of(const Child& child) {
  const LocalMemory memory(child.pid());
  const auto mappings = read_mappings(child.pid());
  EXPECT_TRUE(mappings);
  const auto modules = ModuleList::read(child.pid(), *mappings, memory);
  EXPECT_TRUE(modules);
  auto walk = walk_glibc_heap(memory, *mappings, *modules, {});
  EXPECT_TRUE(walk) << walk.error().message;
  return walk ? std::move(*walk) : HeapWalk{};
}

inline bool holds(const std::vector<Block>& blocks, Address start) {
  return std::any_of(blocks.begin(), blocks.end(),
                     [&](const Block& block) { return block.start == start; });
}

// The walk found exactly `expected` besides what was there before; usable sizes fit the requests.
inline void expect_blocks(const HeapWalk& before, const HeapWalk& after,
                          const std::vector<Block>& expected) {
  std::vector<Block> found;
  for (const Block& block : after.used) {
    if (!holds(before.used, block.start)) {
      found.push_back(block);
    }
  }
  std::vector<Address> missing;
  std::size_t i = 0;
  for (const Block& block : expected) {
    while (i < found.size() && found[i].start < block.start) {
      ADD_FAILURE() << fmt::format("unexpected block {:#x} of {}", found[i].start, found[i].size);
      ++i;
    }
    if (i == found.size() || found[i].start != block.start) {
      ADD_FAILURE() << fmt::format("block {:#x} of {} was not found", block.start, block.size);
      continue;
    }
    EXPECT_GE(found[i].size, block.size);
    // 24 is the least; a remainder below a chunk's minimum, or a page's rest, comes on top.
    EXPECT_LT(found[i].size,
              std::max<std::uint64_t>(block.size, 24) + (block.size < 128 * 1024 ? 32 : 4096 + 32))
        << block.size;
    ++i;
  }
  EXPECT_EQ(i, found.size()) << "unexpected blocks at the end";
}

inline std::string text_of(const HeapWalk& walk) {
  return fmt::format("{}", fmt::join(walk.messages, "\n"));
}

}  // namespace heapledger
