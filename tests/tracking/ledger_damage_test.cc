// SPDX-License-Identifier: Apache-2.0
//
// A ledger that a hostile or broken program wrote into: no pointer out of it, no count is believed.
#include "tracking/ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "tests/tracking/played_agent.h"

using namespace heapledger;
using agent::Kind;

namespace {
constexpr Address kHeap = 0x555555560000;
}  // namespace

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
  EXPECT_EQ(ledger.recorded().size(), 1u);
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

TEST(Ledger, StandsForStacksWithTheSameFramesByOneOfThem) {
  PlayedAgent agent;
  const StackId a = agent.node(0x401000, 0);
  const StackId b = agent.node(0x402000, a);
  const StackId again = agent.node(0x401000, 0);
  const StackId b_again = agent.node(0x402000, again);
  const StackId other = agent.node(0x402000, 0);
  const StackId late = agent.node(0x403000, 99);  // whose caller cannot be
  const auto canonical = agent.read().canonical_stacks();
  EXPECT_EQ(canonical[a], a);
  EXPECT_EQ(canonical[again], a);
  EXPECT_EQ(canonical[b_again], canonical[b]);
  EXPECT_NE(canonical[other], canonical[b]);
  EXPECT_EQ(canonical[late], late);
}

// Each node of a chain is a stack of its own, as long as a stack can be: 4 GB of frames, were they all kept.
TEST(Ledger, ComparesLongStacksWithoutKeepingThem) {
  PlayedAgent agent;
  constexpr StackId kNodes = 1 << 18;
  StackId id = 0;
  for (StackId i = 0; i < kNodes; ++i) id = agent.node(0x401000, id);
  const Ledger ledger = agent.read();
  const auto canonical = ledger.canonical_stacks();
  EXPECT_EQ(canonical[id], id);
  EXPECT_EQ(ledger.stack(id).size(), Ledger::kMaxStack);
  std::vector<StackId> ids(canonical.begin() + 1, canonical.begin() + 5000);
  std::sort(ids.begin(), ids.end(), [&](StackId x, StackId y) { return ledger.stack_before(x, y); });
  EXPECT_EQ(ids.front(), 1u);
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
  ASSERT_EQ(ledger.recorded().size(), 1u);
  EXPECT_EQ(ledger.recorded()[0].stack, 0u);
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
    for (const Allocation& a : ledger.recorded()) {
      EXPECT_GE(a.block.start, last);
      last = a.block.start;
      ledger.stack(a.stack);
      ledger.tid(a);
      ledger.age_ms(a);
      EXPECT_TRUE(ledger.find(a.block.start));
    }
  }
  EXPECT_GT(damaged, 100u);
}
