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

std::vector<Address> pcs(const Ledger& ledger, StackId id) {
  std::vector<Address> out;
  for (const CodeAddress& frame : ledger.stack(id)) out.push_back(frame.pc);
  return out;
}
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
  EXPECT_TRUE(ledger.allocations().empty());
  EXPECT_EQ(ledger.find(kHeap), nullptr);
  EXPECT_TRUE(ledger.stack(0).empty());
  EXPECT_TRUE(ledger.stack(77).empty());
  PlayedAgent untouched;
  untouched.state->arena_begin = untouched.state->arena_end = 0;
  EXPECT_TRUE(untouched.read().allocations().empty());
}

TEST(Ledger, FindsTheArenaBeforeItWasAnnounced) {
  PlayedAgent agent(5, std::uint64_t{1} << 28);
  agent.insert(kHeap, 8);
  agent.state->arena_word = agent.state->arena_begin | 28;
  const AddressRange arena{agent.state->arena_begin, agent.state->arena_end};
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
  ASSERT_EQ(ledger.allocations().size(), 1u);
  EXPECT_EQ(pcs(ledger, ledger.allocations()[0].stack),
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
  EXPECT_EQ(ledger.tid(ledger.allocations()[0]), 1001u);
  EXPECT_EQ(ledger.tid(ledger.allocations()[1]), 0u);
  EXPECT_EQ(ledger.tid(ledger.allocations()[2]), 0u);
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
    return ledger.find(a) == nullptr ? 0 : ledger.find(a)->block.start;
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
  EXPECT_EQ(c.ledger_bytes, agent.state->arena_opened);
}

TEST(Ledger, OwnsItsStateAndArena) {
  PlayedAgent agent;
  const Ledger ledger = agent.read();
  ASSERT_EQ(ledger.own_memory().size(), 2u);
  EXPECT_LT(ledger.own_memory()[0].begin, ledger.own_memory()[1].begin);
  const AddressRange arena{agent.state->arena_begin, agent.state->arena_end};
  const AddressRange state{agent.address(), agent.address() + sizeof(agent::State)};
  EXPECT_TRUE(ledger.own_memory()[0] == arena || ledger.own_memory()[1] == arena);
  EXPECT_TRUE(ledger.own_memory()[0] == state || ledger.own_memory()[1] == state);
}

// -------------------------------------------------------------------------------------------------
// Calls in progress.

namespace {
void put_in_flight(agent::Thread* thread, Kind kind, Address block, std::uint64_t size) {
  thread->in_flight_kind = std::uint32_t(kind);
  thread->in_flight_block = block == 0 ? 0 : agent::encode(block);
  thread->in_flight_slot = agent::pack({false, false, Kind::malloc, false, 0, size, 0, 0, 0});
}
}  // namespace

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
  EXPECT_TRUE(ledger.allocations().empty());
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
  EXPECT_NEAR(double(*ledger.age_ms(ledger.allocations()[0])), 10'000, 200);
  EXPECT_NEAR(double(*ledger.age_ms(ledger.allocations()[1])), 1'000, 200);
  EXPECT_EQ(*ledger.age_ms(ledger.allocations()[2]), 0u);
}

TEST(Ledger, HasNoAgesWhereTimeWasNotRecorded) {
  PlayedAgent agent;
  agent.insert(kHeap, 8);
  const Ledger ledger = agent.read();
  EXPECT_EQ(ledger.age_ms(ledger.allocations()[0]), std::nullopt);
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
// Mapped segments.

TEST(Ledger, ListsMappedSegments) {
  PlayedAgent agent;
  auto* record = agent.mapping(1, Kind::mmap, 0x7f0000000000, 0x2000);
  record->stack = agent.node(0x401000, 0);
  record->truncated = 1;
  agent.mapping(2, Kind::shmat, 0x7f0000010000, 0x1000);
  agent.insert(kHeap, 8);
  const Ledger ledger = agent.read();
  EXPECT_EQ(text(ledger),
            "0x555555560000+0x8 malloc\n[0x7f0000000000+0x2000 mmap] truncated\n"
            "[0x7f0000010000+0x1000 shmat]\n");
  EXPECT_EQ(pcs(ledger, ledger.allocations()[1].stack), (std::vector<Address>{0x401000}));
}

TEST(Ledger, ReplaysMappingsInOrderOfSequence) {
  PlayedAgent agent;
  agent.mapping(5, Kind::munmap, 0x1001000, 0x1000);
  agent.mapping(9, Kind::mmap, 0x1001000, 0x1000);
  agent.mapping(2, Kind::mmap, 0x1000000, 0x3000);
  EXPECT_EQ(text(agent.read()),
            "[0x1000000+0x1000 mmap]\n[0x1001000+0x1000 mmap]\n[0x1002000+0x1000 mmap]\n");
}

TEST(Ledger, IgnoresDeadAndUnusedRecords) {
  PlayedAgent agent;
  agent.mapping(1, Kind::mmap, 0x1000000, 0x3000)->state = std::uint32_t(agent::MappingState::dead);
  agent.mapping(2, Kind::mmap, 0x2000000, 0x3000)->state = 0;
  const Ledger ledger = agent.read();
  EXPECT_EQ(text(ledger), "");
  EXPECT_EQ(ledger.damaged(), 0u);
}

TEST(Ledger, CountsMappingRecordsThatMakeNoSense) {
  PlayedAgent agent;
  agent.mapping(1, Kind::mmap, 0x1000000, 0);
  agent.mapping(2, Kind::malloc, 0x1000000, 0x1000);
  agent.mapping(3, Kind::mmap, 0x7ffffffff000, 0x1000);  // the last page of user addresses: fine
  agent.mapping(4, Kind::mmap, 0x7ffffffff000, 0x2000);
  agent.mapping(5, Kind::mmap, 0x8000000000000000, 0x1000);
  agent.mapping(6, Kind::mmap, 0x1000000, UINT64_MAX);
  agent.mapping(7, Kind(200), 0x1000000, 0x1000);
  const Ledger ledger = agent.read();
  EXPECT_EQ(text(ledger), "[0x7ffffffff000+0x1000 mmap]\n");
  EXPECT_EQ(ledger.damaged(), 6u);
}

namespace {
// "1000-3000 5000-6000": what the process has mapped, in hexadecimal, with something at either side.
Mappings only_mapped(const std::string& ranges) {
  std::string lines = "1000-2000 r--p 00000000 00:00 0\n";
  for (std::size_t at = 0; at < ranges.size(); at = ranges.find(' ', at) + 1) {
    lines += ranges.substr(at, ranges.find(' ', at) - at) + " rw-p 00000000 00:00 0\n";
    if (ranges.find(' ', at) == std::string::npos) break;
  }
  lines += "7ffff0000000-7ffff0001000 rw-p 00000000 00:00 0 [stack]\n";
  auto mappings = parse_mappings(lines);
  EXPECT_TRUE(mappings);
  return mappings.value_or(Mappings{});
}
}  // namespace

TEST(Ledger, LeavesOutSegmentsTheProcessHasNotMappedAnyMore) {
  PlayedAgent agent;
  agent.mapping(1, Kind::mmap, 0x1000000, 0x3000);
  agent.mapping(2, Kind::mmap, 0x2000000, 0x3000);
  agent.mapping(3, Kind::shmat, 0x3000000, 0x5000);
  agent.insert(0x3000000, 0x40);
  agent.insert(0x3001000, 0x40);
  agent.insert(0x3003800, 0x40);
  Ledger ledger = agent.read();
  // The second one is gone, the third one has a hole.
  ledger.keep_mapped(only_mapped("1000000-1003000 2ff0000-3001000 3003000-3004000 3004000-3009000"));
  EXPECT_EQ(text(ledger),
            "[0x1000000+0x3000 mmap]\n[0x3000000+0x1000 shmat]\n0x3000000+0x40 malloc\n"
            "0x3001000+0x40 malloc\n[0x3003000+0x2000 shmat]\n0x3003800+0x40 malloc\n");
  EXPECT_EQ(ledger.unseen_releases(), 2u);
  EXPECT_EQ(ledger.find(0x3004fff)->block.start, 0x3003000u);
  EXPECT_EQ(ledger.find(0x2000000), nullptr);
}

TEST(Ledger, KeepsSegmentsInSeveralMappings) {
  PlayedAgent agent;
  agent.mapping(1, Kind::mmap, 0x1000000, 0x3000);
  agent.insert(kHeap, 8);
  Ledger ledger = agent.read();
  ledger.keep_mapped(only_mapped("1000000-1001000 1001000-1002000 1002000-1009000"));
  EXPECT_EQ(text(ledger), "[0x1000000+0x3000 mmap]\n0x555555560000+0x8 malloc\n");
  EXPECT_EQ(ledger.unseen_releases(), 0u);
}

TEST(Ledger, CountsAMappingThatIsBeingCut) {
  PlayedAgent agent;
  agent.mapping(1, Kind::mmap, 0x1000000, 0x5000)->state =
      std::uint32_t(agent::MappingState::cutting);
  agent.mapping(1, Kind::mmap, 0x1003000, 0x2000);  // already split off
  agent.mapping(2, Kind::munmap, 0x1002000, 0x1000);
  EXPECT_EQ(text(agent.read()), "[0x1000000+0x2000 mmap]\n[0x1003000+0x2000 mmap]\n");
}

// -------------------------------------------------------------------------------------------------
// Damage.

TEST(Ledger, RefusesWhatIsNoLedger) {
  const auto error = [](const PlayedAgent& agent) {
    auto ledger = agent.try_read();
    return ledger ? std::string() : ledger.error().message;
  };
  PlayedAgent agent;
  EXPECT_EQ(error(agent), "");
  agent.state->magic ^= 1;
  EXPECT_NE(error(agent).find("there is none at"), std::string::npos);
  agent.state->magic ^= 1;
  agent.state->version = 99;
  EXPECT_NE(error(agent).find("version 99"), std::string::npos);
  agent.state->version = agent::kVersion;
  agent.state->granule_shift = 12;
  EXPECT_NE(error(agent).find("damaged"), std::string::npos);
  agent.state->granule_shift = 5;
  agent.state->arena_end = agent.state->arena_begin - 1;
  EXPECT_NE(error(agent).find("damaged"), std::string::npos);
  const auto unmapped = Ledger::read(LocalMemory(std::uint64_t(getpid())), 0x1000);
  ASSERT_FALSE(unmapped);
  EXPECT_NE(unmapped.error().message.find("cannot read the ledger"), std::string::npos);
}

TEST(Ledger, FollowsNoPointerOutOfTheArena) {
  PlayedAgent agent;
  agent.insert(kHeap, 8);
  std::vector<agent::Slot> outside(1 << 13,
                                   agent::pack({true, false, Kind::malloc, false, 0, 8, 0, 0, 0}));
  *agent.leaf_pointer(kHeap + 0x20000) = reinterpret_cast<Address>(outside.data()) & ~Address{4095};
  *agent.leaf_pointer(kHeap + 0x40000) = agent.state->arena_begin + 8;   // not aligned
  *agent.leaf_pointer(kHeap + 0x60000) = agent.state->arena_end - 4096;  // not opened
  *agent.leaf_pointer(kHeap + 0x80000) = UINT64_MAX;
  agent.state->directory[3] = 0x1000;
  agent.state->nodes[0] = agent.address();
  agent.state->mappings[7] = 1;
  agent.state->odd[2] = 1;
  agent.state->thread_records[1] = 1;
  agent.state->threads[99] = {agent::encode(1), 0x123};
  const Ledger ledger = agent.read();
  EXPECT_EQ(text(ledger), "0x555555560000+0x8 malloc\n");
  EXPECT_EQ(ledger.damaged(), 10u);
}

TEST(Ledger, FollowsAPointerOnce) {
  PlayedAgent agent;
  agent.insert(kHeap, 8);
  const std::uint64_t leaf = *agent.leaf_pointer(kHeap);
  *agent.leaf_pointer(kHeap + 0x20000) = leaf;
  *agent.leaf_pointer(kHeap + 0x40000) = leaf + 4096;  // overlaps it
  // Every table is the same one: 16,383 more times 8 GiB of addresses.
  const std::uint64_t table = agent.state->directory[kHeap >> agent::kTableShift];
  for (auto& entry : agent.state->directory) entry = table;
  const Ledger ledger = agent.read();
  EXPECT_EQ(ledger.allocations().size(), 1u);
  EXPECT_GE(ledger.damaged(), 16383u + 2);
}

TEST(Ledger, EndsAStackThatGoesRound) {
  PlayedAgent agent;
  const StackId a = agent.node(0x401000, 2);
  const StackId b = agent.node(0x402000, a);
  const StackId self = agent.node(0x403000, 3);
  const StackId wild = agent.node(0x404000, 0x3ffffff);
  const Ledger ledger = agent.read();
  EXPECT_EQ(ledger.stack(b).size(), Ledger::kMaxStack);
  EXPECT_EQ(ledger.stack(self).size(), Ledger::kMaxStack);
  EXPECT_EQ(pcs(ledger, wild), (std::vector<Address>{0x404000}));
}

TEST(Ledger, BelievesNoCount) {
  PlayedAgent agent;
  agent.insert(kHeap, 8, Kind::malloc, 0x3ffffff);
  agent.main()->allocations = UINT64_MAX;
  agent.state->node_count = UINT32_MAX;
  agent.state->thread_count = UINT32_MAX;
  agent.state->mapping_count = UINT32_MAX;
  agent.state->odd_count = UINT64_MAX;
  agent.state->arena_next = UINT64_MAX;
  const Ledger ledger = agent.read();
  ASSERT_EQ(ledger.allocations().size(), 1u);
  EXPECT_EQ(ledger.allocations()[0].stack, 0u);
  EXPECT_EQ(ledger.damaged(), 1u);
}

TEST(Ledger, SkipsEntriesThatMakeNoSense) {
  PlayedAgent agent;
  agent.insert(kHeap, 8, Kind::free);
  agent.insert(kHeap + 0x20, 8, Kind::none);
  agent.insert(kHeap + 0x40, 8, Kind(31));
  agent.insert(kHeap + 0x60, 8);
  agent.insert_odd(UINT64_MAX - 1, 8);  // wraps around
  const Ledger ledger = agent.read();
  EXPECT_EQ(text(ledger), "0x555555560060+0x8 malloc\n");
  EXPECT_EQ(ledger.damaged(), 4u);
}

TEST(Ledger, KeepsTheNewerOfTwoBlocksThatOverlap) {
  PlayedAgent agent;
  agent.insert(kHeap, 0x100, Kind::malloc, 0, 0, 5);  // stale
  agent.insert(kHeap + 0x40, 8, Kind::calloc, 0, 0, 9);
  agent.insert(kHeap + 0x80, 8, Kind::calloc, 0, 0, 9);
  agent.insert(kHeap + 0x1000, 0x100, Kind::malloc, 0, 0, 9);
  agent.insert(kHeap + 0x1040, 8, Kind::calloc, 0, 0, 5);  // stale
  agent.insert(kHeap + 0x1100, 8, Kind::calloc, 0, 0, 5);  // right behind it
  const Ledger ledger = agent.read();
  EXPECT_EQ(text(ledger),
            "0x555555560040+0x8 calloc\n0x555555560080+0x8 calloc\n"
            "0x555555561000+0x100 malloc\n0x555555561100+0x8 calloc\n");
  EXPECT_EQ(ledger.damaged(), 2u);
}

TEST(Ledger, CountsUnreadableParts) {
  PlayedAgent agent;
  agent.insert(kHeap, 8);
  agent.insert(kHeap + 0x20000, 8);
  agent.insert(kHeap + 0x40000, 8);
  auto* hidden = reinterpret_cast<void*>(*agent.leaf_pointer(kHeap + 0x20000));
  ASSERT_EQ(mprotect(hidden, 4096, PROT_NONE), 0);
  const Ledger ledger = agent.read();
  // It lies between the others, which are read all the same.
  EXPECT_EQ(text(ledger), "0x555555560000+0x8 malloc\n0x5555555a0000+0x8 malloc\n");
  EXPECT_EQ(ledger.damaged(), 1u);
}

TEST(Ledger, SurvivesRandomDamage) {
  std::mt19937_64 random(1234);
  std::uint64_t damaged = 0;
  for (int round = 0; round < 300; ++round) {
    PlayedAgent agent(random() % 2 != 0 ? 4 : 5, 64 << 20);
    agent.state->flags = agent::kRecordTime;
    StackId id = 0;
    for (int i = 0; i < 50; ++i) {
      id = agent.node(0x400000 + i, id);
      agent.insert(kHeap + 0x1000 * i, 64, Kind::malloc, id, agent.thread_record(1 + i), i);
      agent.mapping(i, i % 3 != 0 ? Kind::mmap : Kind::munmap,
                    0x7f0000000000 + 0x1000 * (random() % 64), 0x3000);
      agent.insert_odd(kHeap + 0x1000 * i + 0x801, 3);
    }
    put_in_flight(agent.thread(2), Kind::realloc, kHeap + 0x900, 0x20);
    const auto damage = [&](void* begin, std::size_t size) {
      auto* words = static_cast<std::uint64_t*>(begin);
      std::uint64_t& word = words[random() % (size / 8)];
      if (word == 0 && random() % 8 != 0) return;
      word = random() % 2 != 0 ? random() : word ^ std::uint64_t{1} << random() % 64;
    };
    for (int i = 0; i < 200; ++i) {
      damage(reinterpret_cast<void*>(agent.state->arena_begin), agent.state->arena_next);
      if (round % 2 != 0)
        damage(&agent.state->odd, sizeof(agent::State) - offsetof(agent::State, odd));
    }
    const Ledger ledger = agent.read();
    damaged += ledger.damaged();
    Address last = 0;
    for (const Allocation& a : ledger.allocations()) {
      EXPECT_GE(a.block.start, last);
      last = a.block.start;
      ledger.stack(a.stack);
      ledger.tid(a);
      ledger.age_ms(a);
      EXPECT_NE(ledger.find(a.block.start), nullptr);
    }
  }
  EXPECT_GT(damaged, 100u);
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
  ASSERT_EQ(ledger.allocations().size(), 1'000'000u);
  std::uint64_t read = 0;
  for (std::uint64_t i = 0; i < 1'000'000; ++i) {
    const Allocation& a = ledger.allocations()[i];
    ASSERT_EQ(a.block.start, kHeap + 0x10 + 64 * i);
    ASSERT_EQ(a.stack, stack);
    read += a.block.size;
  }
  EXPECT_EQ(read, bytes);
  EXPECT_EQ(ledger.damaged(), 0u);
}
