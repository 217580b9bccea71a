// SPDX-License-Identifier: Apache-2.0
//
// What the ledger says is mapped, and how many records it takes to say it, against what this process
// really has mapped.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/agent/hooked_process.h"

namespace heapledger {
namespace {

constexpr std::size_t kPage = 4096;

char* map(std::size_t pages, void* at = nullptr) {
  const int fixed = at == nullptr ? 0 : MAP_FIXED;
  void* made = mmap(at, pages * kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
  EXPECT_NE(made, MAP_FAILED);
  return static_cast<char*>(made);
}
void unmap(char* begin, std::size_t pages) { EXPECT_EQ(munmap(begin, pages * kPage), 0); }

class MappedSegments : public testing::HookedProcess {
 protected:
  const agent::State& state() const {
    return *reinterpret_cast<const agent::State*>(tracker_.state_address());
  }
  // Records that are neither free nor were never handed out.
  std::size_t records_in_use() const {
    std::size_t used = 0;
    for (std::uint32_t i = 0; i < state().mapping_count; ++i) {
      const auto* chunk = reinterpret_cast<const agent::MappingRecord*>(
          state().mappings[i / agent::kMappingsPerChunk]);
      used += chunk[i % agent::kMappingsPerChunk].state !=
              std::uint32_t(agent::MappingState::unused);
    }
    return used;
  }
  // A letter a page from `begin` on, the same one for the pages of one segment; '.': not mapped.
  static std::string drawn(const Ledger& ledger, const char* begin, std::size_t pages) {
    std::string out(pages, '.');
    const auto base = reinterpret_cast<Address>(begin);
    char letter = 'a';
    for (const Allocation& a : ledger.recorded()) {
      if (!a.mapped || a.block.start < base || a.block.start >= base + pages * kPage) continue;
      const std::size_t first = (a.block.start - base) / kPage;
      for (std::size_t i = first; i < std::min(first + a.block.size / kPage, pages); ++i) {
        out[i] = letter;
      }
      ++letter;
    }
    return out;
  }
};

TEST_F(MappedSegments, AreSplitByAReleaseInTheMiddle) {
  char* m = map(5);
  unmap(m + 2 * kPage, 1);
  EXPECT_EQ(drawn(stopped(), m, 5), "aa.bb");
}

TEST_F(MappedSegments, LoseWhatIsReleasedAtEitherEnd) {
  char* m = map(8);
  unmap(m, 2);
  unmap(m + 6 * kPage, 2);
  EXPECT_EQ(drawn(stopped(), m, 8), "..aaaa..");
}

TEST_F(MappedSegments, ForgetWhatWasMappedOverThemAndUnmapped) {
  char* m = map(14);
  map(3, m + 3 * kPage);
  unmap(m + 3 * kPage, 3);
  map(4, m + 10 * kPage);
  map(4, m + 10 * kPage);
  unmap(m + 10 * kPage, 4);
  EXPECT_EQ(drawn(stopped(), m, 14), "aaa...bbbb....");
}

TEST_F(MappedSegments, KeepTheOldOneUnderAFailedRemap) {
  char* m = map(4);
  EXPECT_EQ(mremap(m, 4 * kPage, std::size_t{1} << 60, MREMAP_MAYMOVE), MAP_FAILED);
  char* gone = map(4);
  EXPECT_EQ(mremap(gone, 4 * kPage, std::size_t{1} << 60, MREMAP_MAYMOVE), MAP_FAILED);
  unmap(gone, 4);
  const Ledger ledger = stopped();
  EXPECT_EQ(drawn(ledger, m, 4), "aaaa");
  EXPECT_EQ(drawn(ledger, gone, 4), "....");
}

TEST_F(MappedSegments, StayWhereARemapLeavesThem) {
  char* room = map(8);
  char* m = static_cast<char*>(mmap(nullptr, 3 * kPage, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  EXPECT_EQ(mremap(m, 3 * kPage, 3 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
                   room + kPage),
            room + kPage);
  const Ledger ledger = stopped();
  EXPECT_EQ(drawn(ledger, room, 8), "abbbcccc");
  EXPECT_EQ(drawn(ledger, m, 3), "aaa");
}

TEST_F(MappedSegments, ReleaseAttachedMemoryByItsAddress) {
  const int id = shmget(IPC_PRIVATE, 4 * kPage, IPC_CREAT | 0600);
  ASSERT_GE(id, 0);
  char* first = static_cast<char*>(shmat(id, nullptr, 0));
  char* second = static_cast<char*>(shmat(id, nullptr, 0));
  shmctl(id, IPC_RMID, nullptr);
  unmap(first + kPage, 1);
  shmdt(second);
  const Ledger ledger = stopped();
  EXPECT_EQ(drawn(ledger, first, 4), "a.bb");
  EXPECT_EQ(drawn(ledger, second, 4), "....");
}

TEST_F(MappedSegments, AreLeftOutWhenARawCallReleasedThem) {
  char* gone = map(3);
  char* cut = map(6);
  syscall(SYS_munmap, gone, 3 * kPage);
  syscall(SYS_munmap, cut + kPage, kPage);
  const Ledger ledger = stopped();
  EXPECT_EQ(drawn(ledger, gone, 3), "...");
  EXPECT_EQ(drawn(ledger, cut, 6), "a.bbbb");
  EXPECT_EQ(ledger.unseen_releases(), 2u);
}

// What memory managers do that need aligned pieces: map more than needed, trim both ends.
void trim(int cycles) {
  for (int i = 0; i < cycles; ++i) {
    char* m = map(8);
    unmap(m, 1);
    unmap(m + 5 * kPage, 3);
    if (i % 3 == 0) unmap(m + 2 * kPage, 1);
    unmap(m + kPage, 4);
  }
}

TEST_F(MappedSegments, AreTrimmedForEverInAFewRecords) {
  char* kept = map(8);
  unmap(kept, 3);
  trim(300'000);
  EXPECT_LE(state().mapping_count, 32u);
  const Ledger ledger = stopped();
  EXPECT_EQ(ledger.counters().dropped_mappings, 0u);
  EXPECT_EQ(drawn(ledger, kept, 8), "...aaaaa");
  EXPECT_LE(std::count_if(ledger.recorded().begin(), ledger.recorded().end(),
                          [](const Allocation& a) { return bool(a.mapped); }),
            8);
}

TEST_F(MappedSegments, AreTrimmedForEverByManyThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) threads.emplace_back(trim, 20'000);
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(state().mapping_queue, 0u);
  EXPECT_LE(records_in_use(), 32u);
  EXPECT_EQ(stopped().counters().dropped_mappings, 0u);
}

// Threads that cut into the same mappings: what is left is what is left, whoever was first.
TEST_F(MappedSegments, LoseToManyThreadsWhatEachReleases) {
  constexpr std::size_t kPages = 64, kThreads = 4;
  std::string left;
  std::vector<char*> mapped;
  for (int round = 0; round < 500; ++round) {
    char* m = mapped.emplace_back(map(kPages));
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([m, t] {
        for (std::size_t page = t; page < kPages; page += kThreads) {
          if (page % 7 != 0) unmap(m + page * kPage, 1);
        }
      });
    }
    for (std::thread& t : threads) t.join();
  }
  EXPECT_EQ(state().mapping_queue, 0u);
  EXPECT_LE(records_in_use(), 500 * 10 + 32u);
  const Ledger ledger = stopped();
  for (char* m : mapped) {
    const std::string pages = drawn(ledger, m, kPages);
    for (std::size_t page = 0; page < kPages; ++page) {
      ASSERT_EQ(pages[page] != '.', page % 7 == 0) << pages;
    }
    unmap(m, kPages);
  }
}

// Any order of calls in one range, against a model with a number a page.
TEST_F(MappedSegments, EqualAPagewiseModel) {
  constexpr std::size_t kPages = 64;
  char* m = map(kPages);
  std::vector<int> model(kPages, 0);
  std::mt19937 random(5);
  for (int i = 1; i <= 20'000; ++i) {
    const std::size_t begin = random() % kPages, pages = 1 + random() % (kPages - begin);
    if (random() % 3 == 0) {
      map(pages, m + begin * kPage);
      std::fill_n(model.begin() + std::ptrdiff_t(begin), pages, i);
    } else {
      unmap(m + begin * kPage, pages);
      std::fill_n(model.begin() + std::ptrdiff_t(begin), pages, -1);
    }
  }
  EXPECT_LE(state().mapping_count, 100u);
  std::string expected;
  char letter = 'a' - 1;
  for (std::size_t i = 0; i < kPages; ++i) {
    const bool starts = model[i] >= 0 && (i == 0 || model[i - 1] != model[i]);
    if (starts) ++letter;
    expected += model[i] < 0 ? '.' : letter;
  }
  EXPECT_EQ(drawn(stopped(), m, kPages), expected);
}

}  // namespace
}  // namespace heapledger
