// SPDX-License-Identifier: Apache-2.0
#include "tracking/ledger.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <vector>

#include "tests/tracking/played_agent.h"
#include "tracking/tsc_clock.h"

using namespace heapledger;
using agent::Kind;

namespace {
constexpr Address kHeap = 0x555555560000;
}  // namespace

TEST(Ledger, ListsBlocksByAddressWithTheirSizesAndKinds) {
  PlayedAgent agent;
  agent.insert(0x7f1200000010, 100, Kind::calloc);
  agent.insert(kHeap + 0x40, 24, Kind::operator_new);
  agent.insert(kHeap + 0x10, 16, Kind::malloc);    // upper half of its granule
  agent.insert(kHeap + 0x20000, 0, Kind::malloc);  // the next leaf
  agent.insert(kHeap + 0x200000000, 1ull << 40, Kind::operator_new_array);  // the next table
  const Ledger ledger = agent.read();
  EXPECT_EQ(text(ledger),
            "0x555555560010+0x10 malloc\n"
            "0x555555560040+0x18 new\n"
            "0x555555580000+0x0 malloc\n"
            "0x555755560000+0x10000000000 new[]\n"
            "0x7f1200000010+0x64 calloc\n");
  EXPECT_EQ(ledger.damaged(), 0u);
}

TEST(Ledger, ReadsGranulesOf16Bytes) {
  PlayedAgent agent(4);
  agent.insert(kHeap, 16);
  agent.insert(kHeap + 0x10, 16);
  agent.insert(kHeap + 0x1fff0, 8);
  EXPECT_EQ(text(agent.read()),
            "0x555555560000+0x10 malloc\n0x555555560010+0x10 malloc\n0x55555557fff0+0x8 malloc\n");
}

TEST(Ledger, LeavesOutReleasedBlocks) {
  PlayedAgent agent;
  agent.insert(kHeap, 16);
  agent.insert(kHeap + 0x20, 16);
  agent.slot(kHeap)->w0 &= ~std::uint64_t{1};
  EXPECT_EQ(text(agent.read()), "0x555555560020+0x10 malloc\n");
}

TEST(Ledger, AnEmptyOneHasNoBlocks) {
  PlayedAgent agent;
  const Ledger ledger = agent.read();
  EXPECT_TRUE(ledger.recorded().empty());
  EXPECT_FALSE(ledger.find(kHeap));
  EXPECT_TRUE(ledger.stack(0).empty());
  EXPECT_TRUE(ledger.stack(77).empty());
  PlayedAgent untouched;
  untouched.state->arena_begin = untouched.state->arena_end = 0;
  EXPECT_TRUE(untouched.read().recorded().empty());
}

TEST(Ledger, FindsTheArenaBeforeItWasAnnounced) {
  PlayedAgent agent(5, std::uint64_t{1} << 28);
  agent.insert(kHeap, 8);
  agent.state->arena_word = agent.state->arena_begin | 28;
  const AddressRange arena{agent.state->arena_begin,
                           agent.state->arena_begin + agent.state->arena_next};
  agent.state->arena_begin = agent.state->arena_end = 0;
  const Ledger ledger = agent.read();
  EXPECT_EQ(text(ledger), "0x555555560000+0x8 malloc\n");
  EXPECT_TRUE(ledger.own_memory()[0] == arena || ledger.own_memory()[1] == arena);
}

TEST(Ledger, TellsFramesThatASignalInterrupted) {
  PlayedAgent agent;
  const StackId main = agent.node(0x401000, 0);
  const StackId interrupted = agent.node(0x402000, main);
  const StackId handler = agent.node(0x403000, interrupted);
  reinterpret_cast<agent::Node*>(agent.state->nodes[0])[interrupted].interrupted = 1;
  const auto frames = agent.read().stack(handler);
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_FALSE(frames[0].interrupted);
  EXPECT_TRUE(frames[1].interrupted);
  EXPECT_FALSE(frames[2].interrupted);
}

TEST(Ledger, MergesTheOddTable) {
  PlayedAgent agent;
  agent.insert(kHeap, 8);
  agent.insert(kHeap + 0x40, 8);
  agent.insert_odd(kHeap + 0x48, 8);
  agent.insert_odd(kHeap + 0x18, 8);
  agent.insert_odd(0xffff800000000001, 4);  // a handle, not an address
  EXPECT_EQ(text(agent.read()),
            "0x555555560000+0x8 malloc\n0x555555560018+0x8 malloc\n0x555555560040+0x8 malloc\n"
            "0x555555560048+0x8 malloc\n0xffff800000000001+0x4 malloc\n");
}

TEST(Ledger, GivesStacksInnermostFirst) {
  PlayedAgent agent;
  const StackId main = agent.node(0x401000, 0);
  const StackId outer = agent.node(0x402000, main, 3);
  const StackId inner = agent.node(0x403000, outer);
  const StackId other = agent.node(0x404000, outer);
  agent.insert(kHeap, 8, Kind::malloc, inner);
  const Ledger ledger = agent.read();
  ASSERT_EQ(ledger.recorded().size(), 1u);
  EXPECT_EQ(pcs(ledger, ledger.recorded()[0].stack),
            (std::vector<Address>{0x403000, 0x402000, 0x401000}));
  EXPECT_EQ(pcs(ledger, other), (std::vector<Address>{0x404000, 0x402000, 0x401000}));
  EXPECT_EQ(ledger.stack(inner)[1].incarnation, 3);
  EXPECT_EQ(ledger.stack(inner)[0].incarnation, 0);
}

TEST(Ledger, ReadsNodesOfSeveralChunks) {
  PlayedAgent agent;
  StackId id = 0;
  for (unsigned i = 1; i <= 3 * agent::kNodesPerChunk; ++i)
    id = agent.node(0x400000 + i, i % 100 == 1 ? 0 : id);
  const Ledger ledger = agent.read();
  EXPECT_EQ(ledger.stack(12288).front().pc, 0x403000u);
  EXPECT_EQ(ledger.stack(12288).size(), 88u);
  EXPECT_EQ(ledger.stack(12289).size(), 0u);
}

TEST(Ledger, NamesTheThread) {
  PlayedAgent agent;
  agent.thread_record(1000);
  const auto second = agent.thread_record(1001);
  agent.insert(kHeap, 8, Kind::malloc, 0, second);
  agent.insert(kHeap + 0x20, 8);
  agent.insert(kHeap + 0x40, 8, Kind::malloc, 0, 60000);  // no such record
  const Ledger ledger = agent.read();
  EXPECT_EQ(ledger.tid(ledger.recorded()[0]), 1001u);
  EXPECT_EQ(ledger.tid(ledger.recorded()[1]), 0u);
  EXPECT_EQ(ledger.tid(ledger.recorded()[2]), 0u);
}

TEST(Ledger, FindsTheBlockAroundAnAddress) {
  PlayedAgent agent;
  agent.insert(kHeap + 0x20, 32);
  agent.insert(kHeap + 0x80, 0);
  agent.mapping(1, Kind::mmap, kHeap + 0x10000, 0x3000);
  agent.insert(kHeap + 0x10000, 16);
  agent.insert(kHeap + 0x11000, 16);
  const Ledger ledger = agent.read();
  const auto start_of = [&](Address a) {
    const auto found = ledger.find(a);
    return found ? found->block.start : 0;
  };
  EXPECT_EQ(start_of(kHeap + 0x1f), 0u);
  EXPECT_EQ(start_of(kHeap + 0x20), kHeap + 0x20);
  EXPECT_EQ(start_of(kHeap + 0x3f), kHeap + 0x20);
  EXPECT_EQ(start_of(kHeap + 0x40), 0u);
  EXPECT_EQ(start_of(kHeap + 0x80), kHeap + 0x80);
  EXPECT_EQ(start_of(kHeap + 0x81), 0u);
  EXPECT_FALSE(ledger.find(kHeap + 0x1000f)->mapped);
  EXPECT_TRUE(ledger.find(kHeap + 0x10010)->mapped);
  EXPECT_EQ(start_of(kHeap + 0x11008), kHeap + 0x11000);
  EXPECT_EQ(start_of(kHeap + 0x12fff), kHeap + 0x10000);
  EXPECT_EQ(start_of(kHeap + 0x13000), 0u);
  EXPECT_EQ(start_of(UINT64_MAX), 0u);
}

TEST(Ledger, SumsCountersOfAllThreads) {
  PlayedAgent agent;
  for (unsigned i : {1u, 5u}) {
    agent::Thread* t = agent.thread(i);
    t->allocations = 10;
    t->releases = 4;
    t->bytes = 1000;
    t->unknown_releases = 1;
    t->mismatched = 2;
    t->truncated = 3;
    t->frames_walked = 7;
    t->frames_reused = 8;
  }
  agent.state->other_allocations = 100;
  agent.state->other_releases = 50;
  agent.state->other_bytes = 5;
  agent.state->dropped = 11;
  agent.state->dropped_mappings = 12;
  agent.state->dropped_stacks = 13;
  const LedgerCounters c = agent.read().counters();
  EXPECT_EQ(c.allocations, 120u);
  EXPECT_EQ(c.releases, 58u);
  EXPECT_EQ(c.bytes, 2005u);
  EXPECT_EQ(c.unknown_releases, 2u);
  EXPECT_EQ(c.mismatched_releases, 4u);
  EXPECT_EQ(c.truncated_stacks, 6u);
  EXPECT_EQ(c.frames_walked, 14u);
  EXPECT_EQ(c.frames_reused, 16u);
  EXPECT_EQ(c.dropped, 11u);
  EXPECT_EQ(c.dropped_mappings, 12u);
  EXPECT_EQ(c.dropped_stacks, 13u);
  EXPECT_EQ(c.in_flight, 0u);
  EXPECT_EQ(c.ledger_bytes, sizeof(agent::State) + agent.state->arena_opened);
}

TEST(Ledger, TellsWhyItCouldNotGrow) {
  PlayedAgent agent;
  EXPECT_EQ(agent.read().counters().shortage, "");
  agent.state->arena_error = ENOMEM;
  EXPECT_EQ(agent.read().counters().shortage, "the process gets no more memory: Cannot allocate memory");
  agent.state->arena_error = agent::kArenaFull;
  agent.state->max_bytes = 1 << 20;
  EXPECT_EQ(agent.read().counters().shortage, "--max-ledger is 1048576 bytes");
  agent.state->flags |= agent::kMaxIsShare;
  EXPECT_EQ(agent.read().counters().shortage,
            "its share of what the process's own limits left is 1048576 bytes");
}

TEST(Ledger, OwnsItsStateAndWhatOfItsArenaIsMapped) {
  PlayedAgent agent;
  agent.insert(kHeap, 8);
  const Ledger ledger = agent.read();
  ASSERT_EQ(ledger.own_memory().size(), 2u);
  EXPECT_LT(ledger.own_memory()[0].begin, ledger.own_memory()[1].begin);
  const AddressRange arena{agent.state->arena_begin,
                           agent.state->arena_begin + agent.state->arena_next};
  const AddressRange state{agent.address(), agent.address() + sizeof(agent::State)};
  EXPECT_TRUE(ledger.own_memory()[0] == arena || ledger.own_memory()[1] == arena);
  EXPECT_TRUE(ledger.own_memory()[0] == state || ledger.own_memory()[1] == state);
}

// -------------------------------------------------------------------------------------------------
// Calls in progress.

TEST(Ledger, KeepsTheOldBlockOfAReallocInProgress) {
  PlayedAgent agent;
  agent.insert(kHeap, 8);
  agent.insert(kHeap + 0x100, 8);
  put_in_flight(agent.thread(2), Kind::realloc, kHeap + 0x50, 0x20);
  const Ledger ledger = agent.read();
  EXPECT_EQ(text(ledger),
            "0x555555560000+0x8 malloc\n0x555555560050+0x20 malloc?\n0x555555560100+0x8 malloc\n");
  EXPECT_EQ(ledger.counters().in_flight, 1u);
  EXPECT_EQ(ledger.damaged(), 0u);
}

TEST(Ledger, CountsOtherCallsInProgress) {
  PlayedAgent agent;
  put_in_flight(agent.thread(2), Kind::malloc, 0, 0);
  put_in_flight(agent.thread(3), Kind::free, 0, 0);
  const Ledger ledger = agent.read();
  EXPECT_EQ(ledger.counters().in_flight, 2u);
  EXPECT_TRUE(ledger.recorded().empty());
}

TEST(Ledger, PrefersAnEntryThatIsBackToTheReallocInProgress) {
  PlayedAgent agent;
  agent.insert(kHeap + 0x40, 8, Kind::realloc);  // same place, already recorded again
  put_in_flight(agent.thread(2), Kind::realloc, kHeap + 0x40, 0x20);
  agent.insert(kHeap + 0x110, 8);  // its memory was given to somebody else
  put_in_flight(agent.thread(3), Kind::realloc, kHeap + 0x100, 0x40);
  const Ledger ledger = agent.read();
  EXPECT_EQ(text(ledger), "0x555555560040+0x8 realloc\n0x555555560110+0x8 malloc\n");
  EXPECT_EQ(ledger.counters().in_flight, 2u);
  EXPECT_EQ(ledger.damaged(), 0u);
}

// -------------------------------------------------------------------------------------------------
// Time.

TEST(Ledger, TellsAges) {
  PlayedAgent agent;
  agent.state->flags = agent::kRecordTime;
  const double cycles_per_ms = 1 / tsc_ms_per_cycle();
  agent.state->start_tsc = tsc_now() - std::uint64_t(10'000 * cycles_per_ms);  // 10 s ago
  const auto ticks = [&](double ms) {
    return std::uint32_t(std::uint64_t(ms * cycles_per_ms) >> agent::kTimeShift);
  };
  agent.insert(kHeap, 8, Kind::malloc, 0, 0, 0);
  agent.insert(kHeap + 0x20, 8, Kind::malloc, 0, 0, ticks(9'000));
  agent.insert(kHeap + 0x40, 8, Kind::malloc, 0, 0, ticks(10'500));  // another core's clock
  const Ledger ledger = agent.read();
  EXPECT_NEAR(double(*ledger.age_ms(ledger.recorded()[0])), 10'000, 200);
  EXPECT_NEAR(double(*ledger.age_ms(ledger.recorded()[1])), 1'000, 200);
  EXPECT_EQ(*ledger.age_ms(ledger.recorded()[2]), 0u);
}

TEST(Ledger, HasNoAgesWhereTimeWasNotRecorded) {
  PlayedAgent agent;
  agent.insert(kHeap, 8);
  const Ledger ledger = agent.read();
  EXPECT_EQ(ledger.age_ms(ledger.recorded()[0]), std::nullopt);
}

TEST(TscClock, AgreesWithTheMonotonicClock) {
  using Clock = std::chrono::steady_clock;
  const double ms_per_cycle = tsc_ms_per_cycle();
  const auto before = Clock::now();
  const std::uint64_t cycles = tsc_now();
  while (Clock::now() - before < std::chrono::milliseconds(20)) {
  }
  const double passed = std::chrono::duration<double, std::milli>(Clock::now() - before).count();
  EXPECT_NEAR(double(tsc_now() - cycles) * ms_per_cycle, passed, passed / 50);
}

// -------------------------------------------------------------------------------------------------

TEST(Ledger, ReadsAMillionBlocksWhole) {
  PlayedAgent agent(5);
  const StackId stack = agent.node(0x401000, 0);
  std::uint64_t bytes = 0;
  for (std::uint64_t i = 0; i < 1'000'000; ++i) {
    agent.insert(kHeap + 0x10 + 64 * i, 1 + i % 56, Kind::malloc, stack);
    bytes += 1 + i % 56;
  }
  const auto begin = std::chrono::steady_clock::now();
  const Ledger ledger = agent.read();
  const double ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  RecordProperty("milliseconds", std::to_string(ms));
  ASSERT_EQ(ledger.recorded().size(), 1'000'000u);
  std::uint64_t read = 0;
  for (std::uint64_t i = 0; i < 1'000'000; ++i) {
    const Allocation& a = ledger.recorded()[i];
    ASSERT_EQ(a.block.start, kHeap + 0x10 + 64 * i);
    ASSERT_EQ(a.stack, stack);
    read += a.block.size;
  }
  EXPECT_EQ(read, bytes);
  EXPECT_EQ(ledger.damaged(), 0u);
}
