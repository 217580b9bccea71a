// SPDX-License-Identifier: Apache-2.0
#include "analysis/outstanding.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/tracking/played_agent.h"
#include "tracking/tsc_clock.h"

using namespace heapledger;
using agent::Kind;

namespace {

constexpr Address kHeap = 0x555555560000;

// "BYTES in COUNT: inner outer" a line.
std::string text(const std::vector<OutstandingGroup>& groups) {
  std::string out;
  for (const OutstandingGroup& group : groups) {
    out += fmt::format("{} in {}:", group.bytes, group.count);
    for (const CodeAddress& frame : group.stack) {
      out += fmt::format(" {:x}", frame.pc);
      if (frame.incarnation != 0) out += fmt::format("/{}", frame.incarnation);
    }
    out += "\n";
  }
  return out;
}

std::string grouped(const Ledger& ledger, OutstandingOrder order = OutstandingOrder::size,
                    const OutstandingFilter& filter = {}) {
  return text(group_by_stack(ledger, filter, order));
}

// Time in ms since `agent` started, as a slot keeps it. Ticks are 1 to 2 ms.
class Clock {
 public:
  Clock(PlayedAgent& agent, double age_of_start_ms) {
    agent.state->flags |= agent::kRecordTime;
    agent.state->start_tsc = tsc_now() - std::uint64_t(age_of_start_ms * cycles_per_ms_);
  }
  std::uint32_t at(double ms) const {
    return std::uint32_t(std::uint64_t(ms * cycles_per_ms_) >> agent::kTimeShift);
  }

 private:
  double cycles_per_ms_ = 1 / tsc_ms_per_cycle();
};

}  // namespace

TEST(Outstanding, NothingIsNothing) {
  PlayedAgent agent;
  EXPECT_EQ(grouped(agent.read()), "");
}

TEST(Outstanding, GroupsByStackLargestFirst) {
  PlayedAgent agent;
  const StackId main = agent.node(0x1000, 0);
  const StackId a = agent.node(0xa000, main);
  const StackId b = agent.node(0xb000, main);
  agent.insert(kHeap, 10, Kind::malloc, a);
  agent.insert(kHeap + 0x20, 100, Kind::malloc, b);
  agent.insert(kHeap + 0x100, 30, Kind::calloc, a);
  EXPECT_EQ(grouped(agent.read()), "100 in 1: b000 1000\n40 in 2: a000 1000\n");
}

TEST(Outstanding, StacksWithTheSameFramesAreOneGroup) {
  PlayedAgent agent;
  const StackId first = agent.node(0xa000, agent.node(0x1000, 0));
  const StackId again = agent.node(0xa000, agent.node(0x1000, 0));
  const StackId other_incarnation = agent.node(0xa000, agent.node(0x1000, 0), 1);
  const StackId shorter = agent.node(0xa000, 0);
  agent.insert(kHeap, 10, Kind::malloc, first);
  agent.insert(kHeap + 0x20, 10, Kind::malloc, again);
  agent.insert(kHeap + 0x40, 7, Kind::malloc, other_incarnation);
  agent.insert(kHeap + 0x60, 5, Kind::malloc, shorter);
  EXPECT_EQ(grouped(agent.read()), "20 in 2: a000 1000\n7 in 1: a000/1 1000\n5 in 1: a000\n");
}

TEST(Outstanding, BlocksWithoutAStackAreAGroup) {
  PlayedAgent agent;
  agent.insert(kHeap, 10);
  agent.insert(kHeap + 0x20, 20);
  EXPECT_EQ(grouped(agent.read()), "30 in 2:\n");
}

TEST(Outstanding, MappedSegmentsTakePart) {
  PlayedAgent agent;
  agent.mapping(1, Kind::mmap, 0x7f0000000000, 0x2000)->stack = agent.node(0xa000, 0);
  EXPECT_EQ(grouped(agent.read()), "8192 in 1: a000\n");
}

TEST(Outstanding, OrdersByCount) {
  PlayedAgent agent;
  const StackId a = agent.node(0xa000, 0);
  const StackId b = agent.node(0xb000, 0);
  agent.insert(kHeap, 1000, Kind::malloc, a);
  agent.insert(kHeap + 0x1000, 1, Kind::malloc, b);
  agent.insert(kHeap + 0x2000, 1, Kind::malloc, b);
  EXPECT_EQ(grouped(agent.read(), OutstandingOrder::count), "2 in 2: b000\n1000 in 1: a000\n");
}

TEST(Outstanding, OrdersByTheOldestBlock) {
  PlayedAgent agent;
  const Clock clock(agent, 10'000);
  const StackId a = agent.node(0xa000, 0);
  const StackId b = agent.node(0xb000, 0);
  agent.insert(kHeap, 1000, Kind::malloc, a, 0, clock.at(5'000));
  agent.insert(kHeap + 0x1000, 1, Kind::malloc, b, 0, clock.at(9'000));
  agent.insert(kHeap + 0x2000, 1, Kind::malloc, b, 0, clock.at(1'000));
  const Ledger ledger = agent.read();
  EXPECT_EQ(grouped(ledger, OutstandingOrder::age), "2 in 2: b000\n1000 in 1: a000\n");
  const auto groups = group_by_stack(ledger, {}, OutstandingOrder::age);
  ASSERT_TRUE(groups[0].oldest_ms && groups[1].oldest_ms);
  EXPECT_NEAR(double(*groups[0].oldest_ms), 9'000, 200);
  EXPECT_NEAR(double(*groups[1].oldest_ms), 5'000, 200);
}

TEST(Outstanding, BreaksTiesByBytesCountAndStack) {
  PlayedAgent agent;
  const StackId c = agent.node(0xc000, 0);
  const StackId b = agent.node(0xb000, 0);
  const StackId a = agent.node(0xa000, 0);
  const StackId d = agent.node(0xd000, 0);
  agent.insert(kHeap, 10, Kind::malloc, c);
  agent.insert(kHeap + 0x20, 10, Kind::malloc, b);
  agent.insert(kHeap + 0x40, 5, Kind::malloc, a);
  agent.insert(kHeap + 0x60, 5, Kind::malloc, a);
  agent.insert(kHeap + 0x80, 20, Kind::malloc, d);
  const Ledger ledger = agent.read();
  EXPECT_EQ(grouped(ledger, OutstandingOrder::size),
            "20 in 1: d000\n10 in 2: a000\n10 in 1: b000\n10 in 1: c000\n");
  EXPECT_EQ(grouped(ledger, OutstandingOrder::count),
            "10 in 2: a000\n20 in 1: d000\n10 in 1: b000\n10 in 1: c000\n");
  EXPECT_EQ(grouped(ledger, OutstandingOrder::age),  // no time recorded: all alike
            "20 in 1: d000\n10 in 2: a000\n10 in 1: b000\n10 in 1: c000\n");
}

TEST(Outstanding, FiltersBySizeInclusively) {
  PlayedAgent agent;
  for (unsigned size : {0u, 9u, 10u, 20u, 21u}) agent.insert(kHeap + 0x20 * size, size);
  const Ledger ledger = agent.read();
  OutstandingFilter filter;
  filter.min_size = 10;
  EXPECT_EQ(grouped(ledger, OutstandingOrder::size, filter), "51 in 3:\n");
  filter.max_size = 20;
  EXPECT_EQ(grouped(ledger, OutstandingOrder::size, filter), "30 in 2:\n");
  filter = {.max_size = 0};
  EXPECT_EQ(grouped(ledger, OutstandingOrder::size, filter), "0 in 1:\n");
  filter = {.min_size = 22};
  EXPECT_EQ(grouped(ledger, OutstandingOrder::size, filter), "");
}

TEST(Outstanding, FiltersByAge) {
  PlayedAgent agent;
  const Clock clock(agent, 10'000);
  agent.insert(kHeap, 1, Kind::malloc, 0, 0, clock.at(1'000));
  agent.insert(kHeap + 0x20, 2, Kind::malloc, 0, 0, clock.at(9'500));
  const Ledger ledger = agent.read();
  EXPECT_EQ(grouped(ledger, OutstandingOrder::size, {.older_ms = 0}), "3 in 2:\n");
  EXPECT_EQ(grouped(ledger, OutstandingOrder::size, {.older_ms = 5'000}), "1 in 1:\n");
  EXPECT_EQ(grouped(ledger, OutstandingOrder::size, {.older_ms = 60'000}), "");
  const auto exactly = ledger.age_ms(ledger.recorded()[0]);
  ASSERT_TRUE(exactly);
  EXPECT_EQ(grouped(ledger, OutstandingOrder::size, {.older_ms = *exactly}), "1 in 1:\n");
  EXPECT_EQ(grouped(ledger, OutstandingOrder::size, {.older_ms = *exactly + 1}), "");
}

TEST(Outstanding, NothingIsOldWhereTimeWasNotRecorded) {
  PlayedAgent agent;
  agent.insert(kHeap, 1);
  EXPECT_EQ(grouped(agent.read(), OutstandingOrder::size, {.older_ms = 0}), "");
  EXPECT_EQ(group_by_stack(agent.read(), {}, OutstandingOrder::size)[0].oldest_ms, std::nullopt);
}

TEST(Outstanding, ListsTheBlocksOfAGroupByAddress) {
  PlayedAgent agent;
  const StackId a = agent.node(0xa000, 0);
  const StackId b = agent.node(0xb000, 0);
  for (unsigned i = 0; i < 6; ++i)
    agent.insert(kHeap + 0x40 * (5 - i), 8, Kind::malloc, i % 2 != 0 ? a : b);
  const Ledger ledger = agent.read();
  EXPECT_TRUE(group_by_stack(ledger, {}, OutstandingOrder::size)[0].allocations.empty());  // not asked
  const auto groups = group_by_stack(ledger, {.list = true}, OutstandingOrder::size);
  ASSERT_EQ(groups.size(), 2u);
  ASSERT_EQ(groups[0].allocations.size(), 3u);
  EXPECT_EQ(ledger.allocation(groups[0].allocations[0]).block.start, kHeap);
  EXPECT_EQ(ledger.allocation(groups[0].allocations[1]).block.start, kHeap + 0x80);
  EXPECT_EQ(ledger.allocation(groups[0].allocations[2]).block.start, kHeap + 0x100);
  EXPECT_EQ(ledger.allocation(groups[1].allocations[0]).block.start, kHeap + 0x40);
}

TEST(Outstanding, GroupsAMillionBlocksOfTenThousandStacks) {
  PlayedAgent agent;
  StackId outer = 0;
  for (unsigned i = 0; i < 12; ++i) outer = agent.node(0x1000 + i, outer);
  std::vector<StackId> stacks;
  for (unsigned i = 0; i < 10'000; ++i) stacks.push_back(agent.node(0x100000 + i, outer));
  for (std::uint64_t i = 0; i < 1'000'000; ++i) {
    agent.insert(kHeap + 64 * i, 10, Kind::malloc, stacks[i * 7919 % 10'000]);
  }
  const Ledger ledger = agent.read();
  const auto begin = std::chrono::steady_clock::now();
  const auto groups = group_by_stack(ledger, {}, OutstandingOrder::size);
  const double ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  RecordProperty("milliseconds", std::to_string(ms));
  ASSERT_EQ(groups.size(), 10'000u);
  for (const OutstandingGroup& group : groups) {
    ASSERT_EQ(group.bytes, 1'000u);
    ASSERT_EQ(group.count, 100u);
    ASSERT_EQ(group.stack.size(), 13u);
  }
  EXPECT_EQ(groups[0].stack[0].pc, 0x100000u);
}
