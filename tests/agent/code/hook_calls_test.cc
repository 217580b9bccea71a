// SPDX-License-Identifier: Apache-2.0
//
// Hooks called by many threads at once: what they record is right, and no access of theirs races
// (ThreadSanitizer) or leaves its object (AddressSanitizer).
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

#include "tests/support/self_target.h"
#include "tracking/agent_memory.h"
#include "tracking/ledger.h"
#include "tracking/rule_publisher.h"

namespace heapledger::agent {
extern "C" {
extern Header heapledger_header;
void* hook_malloc(uint64_t size, const Site* site);
void* hook_realloc(void* old, uint64_t size, const Site* site);
void hook_free(void* block, uint64_t a, uint64_t b, const Site* site);
long heapledger_mmap(uint64_t address, uint64_t length, uint64_t protection, uint64_t flags, uint64_t file,
                     uint64_t offset, const Site* site, const uint64_t* frame);
int hook_munmap(uint64_t address, uint64_t length, const Site* site);
}
}  // namespace heapledger::agent

namespace heapledger {
namespace {

constexpr unsigned kThreads = 6;
constexpr std::uint64_t kPage = 4096;

template <typename F>
agent::Site site(F* original, agent::Kind kind) {
  return {reinterpret_cast<std::uint64_t>(original), reinterpret_cast<std::uint64_t>(original),
          std::uint32_t(kind), 0, 0};
}
const agent::Site kMalloc = site(&std::malloc, agent::Kind::malloc);
const agent::Site kRealloc = site(&std::realloc, agent::Kind::realloc);
const agent::Site kFree = site(&std::free, agent::Kind::free);
const agent::Site kMmap = site(&::mmap, agent::Kind::mmap);
const agent::Site kMunmap = site(&::munmap, agent::Kind::munmap);

void* without_memory(void*, std::size_t) { return nullptr; }
const agent::Site kFailingRealloc = site(&without_memory, agent::Kind::realloc);

void* allocate(std::uint64_t size) { return agent::hook_malloc(size, &kMalloc); }
void release(void* block) { agent::hook_free(block, 0, 0, &kFree); }
__attribute__((noinline)) Address map_at(Address begin, std::uint64_t pages) {
  const std::uint64_t fixed = begin == 0 ? 0 : MAP_FIXED_NOREPLACE;
  return Address(agent::heapledger_mmap(begin, pages * kPage, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | fixed, ~std::uint64_t{0}, 0, &kMmap,
                                        static_cast<const std::uint64_t*>(__builtin_frame_address(0))));
}
Address map(std::uint64_t pages) { return map_at(0, pages); }
void unmap(Address begin, std::uint64_t pages) { agent::hook_munmap(begin, pages * kPage, &kMunmap); }

// The agent's code is this program's; its memory is brought in as into any process.
class HookCalls : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto mappings = target_.mappings();
    ASSERT_TRUE(mappings);
    const auto brought = bring_agent_in(target_, {.main_stack_end = main_stack_end(*mappings)});
    ASSERT_TRUE(brought) << brought.error().message;
    memory_ = *brought;
    const auto modules = ModuleList::read(target_.pid(), *mappings, target_.memory());
    ASSERT_TRUE(modules);
    CodeMap code;
    code.update(*modules);
    ASSERT_TRUE(publisher_.publish(memory_.state, code, false));
    agent::heapledger_header.control = memory_.control;
    agent::heapledger_header.state = memory_.state;
    ASSERT_TRUE(set_active(target_, memory_, true));
  }
  void TearDown() override { (void)set_active(target_, memory_, false); }

  Ledger ledger() {
    auto read = Ledger::read(target_.memory(), memory_.state);
    EXPECT_TRUE(read) << (read ? "" : read.error().message);
    return read ? std::move(*read) : Ledger{};
  }
  template <typename Body>
  static void in_threads(Body body) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(body, i);
    for (std::thread& t : threads) t.join();
  }

  testing::SelfTarget target_;
  RulePublisher publisher_{target_, target_};
  AgentMemory memory_;
};

// Blocks on their way between threads: whoever takes one out of its place grows or releases it.
struct Places {
  std::array<std::atomic<void*>, 64> blocks{};

  __attribute__((noinline)) void pass(unsigned random, int depth) {
    volatile char frame[24] = {};
    if (depth > 0) {
      pass(random, depth - 1);
    } else {
      void* old = blocks[random % blocks.size()].exchange(allocate(random % 500 + 1));
      if (random % 3 == 0) old = agent::hook_realloc(old, random % 1000 + 1, &kRealloc);
      if (old != nullptr) release(old);
    }
    asm volatile("" : : "r"(frame) : "memory");
  }
};

TEST_F(HookCalls, OfManyThreadsLeaveTheLedgerOfWhatIsHeld) {
  Places places;
  in_threads([&](unsigned seed) {
    unsigned random = seed;
    for (int i = 0; i < 5000; ++i) {
      random = random * 1103515245 + 12345;
      places.pass(random >> 16, int(random >> 8) % 8);
    }
  });
  const Ledger held = ledger();
  EXPECT_EQ(held.count(), places.blocks.size());
  for (const auto& block : places.blocks) {
    const auto found = held.find(reinterpret_cast<Address>(block.load()));
    ASSERT_TRUE(found);
    EXPECT_FALSE(found->truncated);
    EXPECT_GE(held.stack(found->stack).size(), 4u);
    release(block.load());
  }
  EXPECT_EQ(ledger().count(), 0u);
  EXPECT_EQ(ledger().counters().unknown_releases, 0u);
}

TEST_F(HookCalls, OfManyThreadsCutTheSameMappings) {
  constexpr std::uint64_t kPages = 4 * kThreads;
  std::vector<Address> mapped;
  for (int i = 0; i < 50; ++i) mapped.push_back(map(kPages));
  in_threads([&](unsigned thread) {
    for (const Address at : mapped) {
      for (std::uint64_t page = thread; page < kPages; page += kThreads) {
        if (page % 7 != 0) unmap(at + page * kPage, 1);
      }
      unmap(map(2), 2);
    }
  });
  const Ledger left = ledger();
  EXPECT_EQ(left.count(), mapped.size() * 4);  // pages 0, 7, 14, 21
  for (const Address at : mapped) unmap(at, kPages);
  EXPECT_EQ(ledger().count(), 0u);
}

// A thread cuts while a mapping goes away page by page and another comes to its place and goes, too.
TEST_F(HookCalls, OfAPlaceMappedAgainWaitForTheThreadThatCuts) {
  auto* state = reinterpret_cast<agent::State*>(memory_.state);
  const Address at = map(2);
  ++state->mapping_token;
  unmap(at, 1);
  unmap(at + kPage, 1);
  ASSERT_EQ(map_at(at, 2), at);
  unmap(at, 2);
  void* kept = ::mmap(reinterpret_cast<void*>(at), 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_EQ(Address(kept), at);
  ++state->mapping_token;
  const Address elsewhere = map(3);
  ASSERT_TRUE(elsewhere + 3 * kPage <= at || elsewhere >= at + 2 * kPage);
  unmap(elsewhere, 3);  // what waits is cut now
  EXPECT_EQ(ledger().count(), 0u);
  ::munmap(kept, 2 * kPage);
}

TEST_F(HookCalls, ThatFailChangeNothing) {
  void* block = allocate(10);
  EXPECT_EQ(agent::hook_realloc(block, 1000, &kFailingRealloc), nullptr);
  EXPECT_EQ(agent::hook_munmap(1, kPage, &kMunmap), -1);
  const Ledger held = ledger();
  ASSERT_EQ(held.count(), 1u);
  EXPECT_EQ(held.allocation(0).block, (Block{reinterpret_cast<Address>(block), 10}));
  release(block);
}

}  // namespace
}  // namespace heapledger
