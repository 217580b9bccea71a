// SPDX-License-Identifier: Apache-2.0
//
// Ledger::join_heap: recorded blocks and the allocator's own become one list.
#include "tests/tracking/played_agent.h"

using namespace heapledger;

namespace {

constexpr Address kHeap = 0x555555560000;

std::string joined(PlayedAgent& agent, std::vector<Block> used, bool recording = true) {
  Ledger ledger = agent.read();
  ledger.join_heap(used, recording);
  return text(ledger);
}

}  // namespace

TEST(LedgerJoin, BlocksWithoutARecordAreUntracked) {
  PlayedAgent agent;
  EXPECT_EQ(joined(agent, {{kHeap, 24}, {kHeap + 0x20, 40}}),
            "0x555555560000+0x18 untracked\n"
            "0x555555560020+0x28 untracked\n");
}

TEST(LedgerJoin, ARecordIsWorthMoreThanUsableBytes) {
  PlayedAgent agent;
  agent.insert(kHeap + 0x20, 30);
  EXPECT_EQ(joined(agent, {{kHeap, 24}, {kHeap + 0x20, 40}, {kHeap + 0x60, 24}}),
            "0x555555560000+0x18 untracked\n"
            "0x555555560020+0x1e malloc\n"
            "0x555555560060+0x18 untracked\n");
}

TEST(LedgerJoin, RecordsOfOtherAllocatorsStay) {
  PlayedAgent agent;
  agent.insert(kHeap + 0x100000, 100);
  EXPECT_EQ(joined(agent, {{kHeap, 24}}),
            "0x555555560000+0x18 untracked\n"
            "0x555555660000+0x64 malloc\n");
}

// An allocator that cuts its blocks out of malloc's: what it gave out is what counts.
TEST(LedgerJoin, ABlockAroundRecordsIsNotListed) {
  PlayedAgent agent;
  agent.insert(kHeap + 0x40, 16);
  agent.insert(kHeap + 0x80, 16);
  EXPECT_EQ(joined(agent, {{kHeap, 0x1000}, {kHeap + 0x1010, 24}}),
            "0x555555560040+0x10 malloc\n"
            "0x555555560080+0x10 malloc\n"
            "0x555555561010+0x18 untracked\n");
}

TEST(LedgerJoin, MappedSegmentsStayWhereTheyAre) {
  PlayedAgent agent;
  agent.mapping(1, agent::Kind::mmap, kHeap - 0x10000, 0x100000);
  EXPECT_EQ(joined(agent, {{kHeap, 24}}),
            "[0x555555550000+0x100000 mmap]\n"
            "0x555555560000+0x18 untracked\n");
}

TEST(LedgerJoin, AfterTrackingStoppedAReleasedBlockIsGone) {
  PlayedAgent agent;
  agent.insert(kHeap, 20);
  agent.insert(kHeap + 0x20, 20);
  EXPECT_EQ(joined(agent, {{kHeap + 0x20, 24}}, false), "0x555555560020+0x14 malloc\n");
  // While it records, the record is the newer word: malloc has not come to it yet.
  EXPECT_EQ(joined(agent, {{kHeap + 0x20, 24}}, true),
            "0x555555560000+0x14 malloc\n"
            "0x555555560020+0x14 malloc\n");
}

TEST(LedgerJoin, AfterTrackingStoppedABlockThatDoesNotFitItsRecordIsAnother) {
  PlayedAgent agent;
  agent.insert(kHeap, 200);
  agent.insert(kHeap + 0x100, 40);
  agent.insert(kHeap + 0x200, 40);
  EXPECT_EQ(joined(agent, {{kHeap, 24}, {kHeap + 0x100, 200}, {kHeap + 0x200, 56}}, false),
            "0x555555560000+0x18 untracked\n"
            "0x555555560100+0xc8 untracked\n"
            "0x555555560200+0x28 malloc\n");
}

TEST(LedgerJoin, AfterTrackingStoppedALargeBlockMayHaveTheSlackOfPagesAndOfItsAlignment) {
  PlayedAgent agent;
  agent.insert(kHeap + 0x10, 200'000);           // malloc, mapped: up to a page more
  agent.insert(kHeap + 0x40'0010, 16'384);       // 122,888 bytes are another block
  agent.insert(kHeap + 0x80'0000, 200'000);      // aligned to 128 KiB
  EXPECT_EQ(joined(agent, {{kHeap + 0x10, 200'688}, {kHeap + 0x40'0010, 122'888},
                           {kHeap + 0x80'0000, 260'000}}, false),
            "0x555555560010+0x30d40 malloc\n"
            "0x555555960010+0x1e008 untracked\n"
            "0x555555d60000+0x30d40 malloc\n");
}

TEST(LedgerJoin, UntrackedBlocksAreFoundAndCounted) {
  PlayedAgent agent;
  agent.insert(kHeap + 0x20, 30);
  Ledger ledger = agent.read();
  ledger.join_heap(std::vector<Block>{{kHeap, 24}, {kHeap + 0x20, 40}}, true);
  EXPECT_EQ(ledger.untracked().size(), 1u);
  ASSERT_TRUE(ledger.find(kHeap + 8));
  EXPECT_TRUE(ledger.find(kHeap + 8)->untracked);
  EXPECT_FALSE(ledger.find(kHeap + 0x28)->untracked);
  EXPECT_FALSE(ledger.find(kHeap + 24));
}
