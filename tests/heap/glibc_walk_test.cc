// SPDX-License-Identifier: Apache-2.0
#include "heap/glibc_walk.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstring>
#include <functional>
#include <mutex>
#include <thread>

#include "tests/heap/heap_child.h"

namespace heapledger {
namespace {

// Runs `body` in a child between two stops and hands both walks over.
class GlibcWalk : public testing::Test {
 protected:
  GlibcWalk() : log(Log::create()) {}
  ~GlibcWalk() override { Log::destroy(log); }

  void run(const std::function<void()>& body) {
    child.emplace(Child::forked([&] {
      raise(SIGSTOP);
      body();
    }));
    before = walk_of(*child);
    EXPECT_TRUE(before.complete()) << text_of(before);
    child->go_on();
    after = walk_of(*child);
  }
  void expect_exactly_the_log() {
    EXPECT_TRUE(after.complete()) << text_of(after);
    expect_blocks(before, after, log.live());
    for (const Block& block : log.freed()) {
      EXPECT_FALSE(holds(after.used, block.start)) << fmt::format("{:#x}", block.start);
    }
  }

  std::size_t count_mapped() const {
    const LocalMemory memory(child->pid());
    const auto live = log.live();
    return static_cast<std::size_t>(std::count_if(live.begin(), live.end(), [&](const Block& b) {
      return (memory.read_value<std::uint64_t>(b.start - 8).value_or(0) & 2) != 0;
    }));
  }

  Log& log;
  std::optional<Child> child;
  HeapWalk before;
  HeapWalk after;
};

TEST_F(GlibcWalk, FindsAllSmallSizes) {
  run([&] {
    for (std::size_t size = 0; size <= 2000; ++size) {
      log.keep(std::malloc(size), size);
    }
  });
  EXPECT_EQ(log.live().size(), 2001u);
  expect_exactly_the_log();
}

TEST_F(GlibcWalk, FindsMappedBlocks) {
  run([&] {
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);  // else it grows with every mapped block freed
    malloc_trim(0);                         // else they come from the top chunk
    for (const std::size_t size : {500'000u, 600'000u, 1u << 20, 5'000'000u, 409'584u, 409'585u}) {
      log.keep(std::malloc(size), size);
    }
    log.keep(std::realloc(std::malloc(500'000), 3'000'000), 3'000'000);
    log.keep(std::realloc(std::malloc(3'000'000), 500'000), 500'000);
    log.release(log.keep(std::malloc(700'000), 700'000));
  });
  // How many depends on what the test program has freed before; their own headers say it.
  EXPECT_EQ(after.mapped - before.mapped, count_mapped());
  EXPECT_GE(count_mapped(), 4u);
  expect_exactly_the_log();
}

// memalign leaves the mapping's first header in place: its address would be the wrong one. Moved by
// realloc, a block is not even aligned any more.
TEST_F(GlibcWalk, FindsAlignedBlocksSmallAndMapped) {
  run([&] {
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    malloc_trim(0);
    for (std::size_t alignment = 32; alignment <= 1u << 22; alignment *= 2) {
      if (alignment < 64 * 1024) {
        log.keep(memalign(alignment, 100), 100);
      }
      log.keep(memalign(alignment, 700'000), 700'000);
      log.keep(std::realloc(memalign(alignment, 700'000), 2'000'000), 2'000'000);
    }
  });
  EXPECT_EQ(after.mapped - before.mapped, count_mapped());
  EXPECT_GE(count_mapped(), 30u);
  EXPECT_TRUE(after.complete()) << text_of(after);
  for (const Block& block : log.live()) {
    EXPECT_TRUE(holds(after.used, block.start)) << fmt::format("{:#x}", block.start);
  }
  EXPECT_EQ(after.used.size() - before.used.size(), 47u);
}

TEST_F(GlibcWalk, FreedBlocksAreFreeWhereverTheyWent) {
  run([&] {
    void* tcache[7];
    void* fastbin[5];
    void* unsorted[3];
    for (void*& p : tcache) p = log.keep(std::malloc(40), 40);
    for (void*& p : fastbin) p = log.keep(std::malloc(40), 40);
    for (void*& p : unsorted) {
      p = log.keep(std::malloc(3000), 3000);
      log.keep(std::malloc(2000), 2000);  // keeps the neighbours from merging; no cache has its size
    }
    for (void* p : tcache) log.release(p);
    for (void* p : fastbin) log.release(p);
    for (void* p : unsorted) log.release(p);
  });
  expect_exactly_the_log();
  EXPECT_EQ(log.freed().size(), 15u);
  for (const Block& block : log.freed()) {  // possibly merged with a free neighbour
    EXPECT_TRUE(std::any_of(after.free.begin(), after.free.end(), [&](const Block& free) {
      return free.range().contains(block.start);
    })) << fmt::format("{:#x}", block.start);
  }
}

TEST_F(GlibcWalk, MixedLifeLeavesExactlyTheLog) {
  run([&] {
    std::vector<void*> held(500, nullptr);
    log.keep(held.data(), held.size() * sizeof(void*));
    std::uint64_t random = 88172645463325252ull;
    for (int i = 0; i < 8000; ++i) {
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      void*& slot = held[random % held.size()];
      const std::size_t size = (random >> 20) % ((random >> 40) % 16 == 0 ? 60'000 : 600);
      if (slot == nullptr) {
        slot = log.keep(std::malloc(size), size);
      } else if ((random >> 50) % 3 == 0) {
        log.forget(slot);
        slot = log.keep(std::realloc(slot, size + 1), size + 1);
      } else {
        log.release(slot);
        slot = nullptr;
      }
    }
    raise(SIGSTOP);  // with `held` alive
  });
  EXPECT_TRUE(after.complete()) << text_of(after);
  expect_blocks(before, after, log.live());
}

TEST_F(GlibcWalk, MainArenaIsTheOneMallocUses) {
  run([&] {
    log.keep(std::malloc(100'000), 100'000);
    malloc_trim(0);
    const struct mallinfo2 info = mallinfo2();
    log.note(info.arena);
    log.note(info.hblks);
  });
  expect_exactly_the_log();
  std::uint64_t walked = 0;
  for (const AddressRange& region : after.regions) {
    walked += region.size();
  }
  // The region ends at the top chunk; malloc counts up to the end of the top chunk.
  EXPECT_LE(walked, log.noted(0));
  EXPECT_GT(walked + 264 * 1024, log.noted(0));
  EXPECT_EQ(after.mapped, log.noted(1));
}

TEST_F(GlibcWalk, StepsOverForeignSbrk) {
  run([&] {
    for (int i = 0; i < 20; ++i) log.keep(std::malloc(20'000), 20'000);
    auto* foreign = static_cast<char*>(sbrk(3 * 4096 + 24));
    std::memset(foreign, 0x41, 3 * 4096 + 24);
    for (int i = 0; i < 20; ++i) log.keep(std::malloc(20'000), 20'000);
    sbrk(8);
    for (int i = 0; i < 20; ++i) log.keep(std::malloc(20'000), 20'000);
  });
  expect_exactly_the_log();
}

// Each thread has its own arena; the fourth one fills more than one 64 MiB heap.
TEST_F(GlibcWalk, FindsBlocksOfThreadArenas) {
  run([&] {
    std::atomic<int> ready = 0;
    int never[2];
    ASSERT_EQ(pipe(never), 0);
    std::mutex mutex;
    const auto work = [&](int number) {
      void* own[600];
      const std::size_t size = number == 3 ? 120'000 : 64 + 100 * static_cast<std::size_t>(number);
      for (void*& p : own) p = std::malloc(size);
      {
        const std::lock_guard lock(mutex);
        for (void* p : own) log.keep(p, size);
        for (int i = 0; i < 600; i += 50) log.forget(own[i]);
      }
      for (int i = 0; i < 600; i += 50) std::free(own[i]);
      ++ready;
      char byte;
      (void)!read(never[0], &byte, 1);
    };
    static std::vector<std::thread>* threads = new std::vector<std::thread>;
    for (int i = 0; i < 4; ++i) threads->emplace_back(work, i);
    while (ready != 4) std::this_thread::yield();
    raise(SIGSTOP);
  });
  EXPECT_TRUE(after.complete()) << text_of(after);
  EXPECT_EQ(after.internal.size(), 5u);  // a tcache for every thread
  // The main arena with its top chunk beside it, three arenas, and two more heaps of theirs.
  EXPECT_EQ(after.regions.size(), 2u + 3u + 2u);
  EXPECT_EQ(log.live().size(), 4 * 588u);
  for (const Block& block : log.live()) {
    EXPECT_TRUE(holds(after.used, block.start)) << fmt::format("{:#x}", block.start);
  }
  for (const Block& block : log.freed()) {
    EXPECT_FALSE(holds(after.used, block.start)) << fmt::format("{:#x}", block.start);
  }
  // Besides: the vector of threads and each thread's start state and thread vector (dtv, state).
  EXPECT_LT(after.used.size() - before.used.size() - log.live().size(), 20u);
}

// A block freed by another thread goes to that thread's cache, though it lies in the first one's
// arena.
TEST_F(GlibcWalk, ThreadsMayFreeEachOthersBlocks) {
  run([&] {
    static std::atomic<int> ready = 0;
    static std::mutex mutex;
    static void* shared[400];
    int never[2];
    ASSERT_EQ(pipe(never), 0);
    const auto work = [&](std::uint64_t random) {
      for (int i = 0; i < 2000; ++i) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        const std::lock_guard lock(mutex);
        void*& slot = shared[random % 400];
        const std::size_t size = (random >> 20) % 3000;
        if (slot == nullptr) {
          slot = log.keep(std::malloc(size), size);
        } else {
          log.release(slot);
          slot = nullptr;
        }
      }
      ++ready;
      char byte;
      (void)!read(never[0], &byte, 1);
    };
    static std::vector<std::thread>* threads = new std::vector<std::thread>;
    for (std::uint64_t i = 1; i <= 3; ++i) threads->emplace_back(work, i * 88172645463325252ull);
    while (ready != 3) std::this_thread::yield();
    raise(SIGSTOP);
  });
  EXPECT_TRUE(after.complete()) << text_of(after);
  ASSERT_GT(log.live().size(), 100u);
  for (const Block& block : log.live()) {
    EXPECT_TRUE(holds(after.used, block.start)) << fmt::format("{:#x}", block.start);
  }
  EXPECT_LT(after.used.size() - before.used.size() - log.live().size(), 20u);
}

TEST_F(GlibcWalk, EndedThreadsLeaveNoCache) {
  run([&] {
    std::thread([&] {
      for (int i = 0; i < 50; ++i) log.release(log.keep(std::malloc(100), 100));
      log.keep(std::malloc(100), 100);
    }).join();
  });
  EXPECT_TRUE(after.complete()) << text_of(after);
  EXPECT_EQ(after.internal.size(), 1u);
  for (const Block& block : log.live()) {
    EXPECT_TRUE(holds(after.used, block.start));
  }
}

TEST_F(GlibcWalk, ThreadPointersFromTheDebuggerGiveTheSame) {
  run([&] {
    log.note(~static_cast<Address>(pthread_self()));  // x86-64: the thread pointer
    log.release(log.keep(std::malloc(100), 100));
  });
  const LocalMemory memory(child->pid());
  const auto mappings = read_mappings(child->pid());
  const auto modules = ModuleList::read(child->pid(), *mappings, memory);
  const ThreadTcb thread{child->pid(), ~log.noted(0)};
  const auto walk = walk_glibc_heap(memory, *mappings, *modules, std::span(&thread, 1));
  ASSERT_TRUE(walk);
  EXPECT_EQ(walk->used, after.used);
  const auto glibc = find_glibc(*modules);
  ASSERT_TRUE(glibc);
  const auto found = find_tcbs(memory, *mappings, *modules, *glibc);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].fs_base, thread.fs_base);
}

}  // namespace
}  // namespace heapledger
