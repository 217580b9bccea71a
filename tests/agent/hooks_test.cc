// SPDX-License-Identifier: Apache-2.0
//
// The real hooks in this process's real allocator: stacks against libgcc's unwinder, releases against
// what is held, signals in the middle.
#include <execinfo.h>
#include <gtest/gtest.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <alloca.h>
#include <cstdlib>
#include <map>
#include <thread>
#include <vector>

#include "tests/agent/hooked_process.h"

namespace heapledger {
namespace {

class AgentHooks : public testing::HookedProcess {};

struct Sample {
  void* block;
  std::vector<void*> frames;  // libgcc's, from the allocating function's caller outwards
};

constexpr int kMostFrames = 128;

__attribute__((noinline)) void sample(std::vector<Sample>& samples) {
  Sample& s = samples.emplace_back();
  s.frames.resize(kMostFrames);
  s.block = std::malloc(40);
  s.frames.resize(std::size_t(backtrace(s.frames.data(), kMostFrames)));
  s.frames.erase(s.frames.begin());  // this function, at another call than malloc's
}

// A call tree without a pattern: recursion of random depth, frames of random size.
__attribute__((noinline)) void wander(unsigned& random, int depth, std::vector<Sample>& samples) {
  random = random * 1103515245 + 12345;
  auto* frame = static_cast<volatile char*>(alloca(16 + (random >> 16) % 200));
  frame[0] = 1;
  if (depth > 0 && (random >> 20) % 4 != 0) wander(random, depth - 1, samples);
  if ((random >> 24) % 3 == 0) sample(samples);
  if (depth > 0 && (random >> 28) % 2 == 0) wander(random, depth - 1, samples);
  asm volatile("" ::: "memory");
}

TEST_F(AgentHooks, RecordTheStacksLibgccSees) {
  std::vector<Sample> samples;
  samples.reserve(20000);
  void* first[2];
  backtrace(first, 2);  // loads libgcc
  unsigned random = 7;
  while (samples.size() < 15000) wander(random, 12, samples);
  const Ledger ledger = stopped();
  ASSERT_GE(samples.size(), 15000u);
  int different = 0;
  for (const Sample& s : samples) {
    const auto a = ledger.find(reinterpret_cast<Address>(s.block));
    ASSERT_TRUE(a);
    const auto stack = ledger.stack(a->stack);
    bool same = stack.size() == s.frames.size() + 1;
    for (std::size_t i = 0; same && i < s.frames.size(); ++i) {
      same = stack[i + 1].pc == reinterpret_cast<Address>(s.frames[i]);
    }
    different += same ? 0 : 1;
  }
  EXPECT_EQ(different, 0) << "of " << samples.size();
  EXPECT_GT(ledger.counters().frames_reused, ledger.counters().frames_walked);
  for (const Sample& s : samples) std::free(s.block);
}

TEST_F(AgentHooks, KeepWhatAFailedReallocKeeps) {
  void* volatile kept = std::malloc(123);
  const auto kept_at = reinterpret_cast<Address>(kept);
  volatile std::size_t too_much = SIZE_MAX / 4;
  void* nothing = std::realloc(kept, too_much);
  void* grown = std::realloc(std::malloc(50), 60000);
  void* volatile gone = std::malloc(77);
  const auto gone_at = reinterpret_cast<Address>(gone);
  std::free(gone);
  const Ledger ledger = stopped();
  EXPECT_EQ(nothing, nullptr);
  const auto a = ledger.find(kept_at);
  ASSERT_TRUE(a);
  EXPECT_EQ(a->block, (Block{kept_at, 123}));
  EXPECT_EQ(a->kind, agent::Kind::malloc);
  const auto b = ledger.find(reinterpret_cast<Address>(grown));
  ASSERT_TRUE(b);
  EXPECT_EQ(b->block.size, 60000u);
  EXPECT_EQ(b->kind, agent::Kind::realloc);
  EXPECT_FALSE(ledger.find(gone_at));
  std::free(reinterpret_cast<void*>(kept_at));
  std::free(grown);
}

TEST_F(AgentHooks, NameTheOutermostKindAndItsSize) {
  struct alignas(64) Wide {
    char bytes[64];
  };
  const std::map<void*, std::pair<agent::Kind, std::uint64_t>> made = {
      {::operator new(0), {agent::Kind::operator_new, 0}},
      {::operator new[](33), {agent::Kind::operator_new_array, 33}},
      {::operator new(65, std::align_val_t{64}), {agent::Kind::operator_new, 65}},
      {std::calloc(3, 5), {agent::Kind::calloc, 15}},
      {std::aligned_alloc(256, 512), {agent::Kind::aligned_alloc, 512}},
  };
  const Ledger ledger = stopped();
  for (const auto& [block, expected] : made) {
    const auto a = ledger.find(reinterpret_cast<Address>(block));
    ASSERT_TRUE(a);
    EXPECT_EQ(a->kind, expected.first);
    EXPECT_EQ(a->block.size, expected.second);
    EXPECT_EQ(a->block.start, reinterpret_cast<Address>(block));
  }
}

volatile sig_atomic_t handled = 0;
void* volatile from_handler[4096];

void allocate_in_handler(int) {
  if (handled < 4096) {
    from_handler[handled] = std::malloc(31);
    handled = handled + 1;
  }
}

// The handler runs on a stack of its own, at any instruction of a thread that is not amid malloc.
TEST_F(AgentHooks, RecordAHandlersAllocations) {
  std::vector<char> stack(64 * 1024);
  stack_t alternate{};
  alternate.ss_sp = stack.data();
  alternate.ss_size = stack.size();
  sigaltstack(&alternate, nullptr);
  struct sigaction action {};
  action.sa_handler = allocate_in_handler;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, nullptr);
  for (int i = 0; i < 1000; ++i) {
    void* p = std::malloc(64);
    raise(SIGUSR1);
    std::free(p);
  }
  const Ledger ledger = stopped();
  ASSERT_EQ(handled, 1000);
  for (int i = 0; i < 1000; ++i) {
    const auto a = ledger.find(reinterpret_cast<Address>(from_handler[i]));
    ASSERT_TRUE(a);
    EXPECT_EQ(a->block.size, 31u);
    EXPECT_FALSE(a->truncated);
    std::free(from_handler[i]);
  }
  alternate.ss_flags = SS_DISABLE;
  sigaltstack(&alternate, nullptr);
}

sigjmp_buf abandoned;
const agent::Thread* volatile walking_thread = nullptr;

// Out of the stack walk of a hook, and nowhere else: the allocator holds no lock there.
void leave_the_walk(int) {
  if (walking_thread != nullptr && walking_thread->walks[0] != 0) siglongjmp(abandoned, 1);
}

__attribute__((noinline)) void* allocate_deep_down(int depth) {
  volatile char frame[32] = {};
  void* block = depth == 0 ? std::malloc(46) : allocate_deep_down(depth - 1);
  asm volatile("" : : "r"(frame) : "memory");
  return block;
}

// The thread runs on deeper than the walk that was abandoned, which is therefore not told apart by where
// it was.
TEST_F(AgentHooks, TakeOverAWalkThatAHandlerAbandoned) {
  const auto& state = *reinterpret_cast<const agent::State*>(tracker_.state_address());
  std::free(std::malloc(1));
  for (const agent::ThreadEntry& entry : state.threads) {
    const auto* thread = reinterpret_cast<const agent::Thread*>(entry.thread);
    if (thread != nullptr && thread->tid == std::uint32_t(gettid())) walking_thread = thread;
  }
  ASSERT_NE(walking_thread, nullptr);
  struct sigaction action {};
  action.sa_handler = leave_the_walk;
  sigaction(SIGPROF, &action, nullptr);
  const itimerval every{{0, 1000}, {0, 1000}}, never{};
  if (sigsetjmp(abandoned, 1) == 0) {
    setitimer(ITIMER_PROF, &every, nullptr);
    for (;;) {
      std::free(allocate_deep_down(100));
      std::free(allocate_deep_down(99));
    }
  }
  setitimer(ITIMER_PROF, &never, nullptr);
  walking_thread = nullptr;
  void* block = allocate_deep_down(400);
  const Ledger ledger = stopped();
  const auto a = ledger.find(reinterpret_cast<Address>(block));
  ASSERT_TRUE(a);
  EXPECT_FALSE(a->truncated);
  EXPECT_GT(ledger.stack(a->stack).size(), 400u);
  std::free(block);
}

TEST_F(AgentHooks, AreInertInAForkedChild) {
  void* before = std::malloc(99);
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 1000; ++i) std::free(std::malloc(std::size_t(i)));
    std::free(before);
    const Address control = tracker_.state_address() - 4096;  // agent::Control, the page before
    _exit(*reinterpret_cast<const volatile std::uint32_t*>(control) == 0 ? 42 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  const Ledger ledger = stopped();
  EXPECT_EQ(WEXITSTATUS(status), 42);
  EXPECT_TRUE(ledger.find(reinterpret_cast<Address>(before)));
  std::free(before);
}

TEST_F(AgentHooks, TellThreadsThatReuseAThreadControlBlockApart) {
  std::vector<void*> blocks(200);
  for (void*& block : blocks) {
    std::thread([&] { block = std::malloc(10); }).join();
  }
  const Ledger ledger = stopped();
  std::map<std::uint32_t, int> tids;
  for (void* block : blocks) {
    const auto a = ledger.find(reinterpret_cast<Address>(block));
    ASSERT_TRUE(a);
    ++tids[ledger.tid(*a)];
    std::free(block);
  }
  EXPECT_EQ(tids.size(), 200u);
}

}  // namespace
}  // namespace heapledger
