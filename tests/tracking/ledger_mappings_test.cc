// SPDX-License-Identifier: Apache-2.0
//
// Mapped segments in a ledger: records, pieces, and what the process has mapped at all.
#include "tracking/ledger.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/tracking/played_agent.h"

using namespace heapledger;
using agent::Kind;

namespace {
constexpr Address kHeap = 0x555555560000;
}  // namespace

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
  EXPECT_EQ(pcs(ledger, ledger.recorded()[1].stack), (std::vector<Address>{0x401000}));
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
  EXPECT_FALSE(ledger.find(0x2000000));
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
