// SPDX-License-Identifier: Apache-2.0
//
// Questions to a finished scan.
#include <gtest/gtest.h>

#include "analysis/coverage.h"
#include "tests/analysis/drawn_heap.h"

namespace heapledger::test {
namespace {

TEST(Chain, IsTheShortest) {
  const DrawnHeap heap(R"(
    root global -> a
    root stack -> c
    a 16 -> b
    b 16 -> c
    c 16 -> d
    d 16
  )");
  const Scan scan = heap.scan();
  EXPECT_EQ(heap.chain(scan, "b"), "global > a > b");
  EXPECT_EQ(heap.chain(scan, "d"), "stack > c > d");
}

TEST(Chain, OfEquallyShortOnesIsTheStrongestRoots) {
  const DrawnHeap heap("root mapping -> a\n root registers -> a\n root global -> a\n a 16");
  EXPECT_EQ(heap.chain(heap.scan(), "a"), "global > a");
  const DrawnHeap weak("root mapping -> a\n root registers -> a\n a 16");
  EXPECT_EQ(weak.chain(weak.scan(), "a"), "registers > a");
}

TEST(Chain, SaysWhereThePointersStand) {
  const DrawnHeap heap("root global -> #0, a\n a 64 -> 40: b+8\n b 16");
  const Scan scan = heap.scan();
  const auto chain = scan.chain(heap.number(scan, "b"));
  ASSERT_EQ(chain.size(), 2u);
  EXPECT_EQ(chain[0].slot, 0x600008u);
  EXPECT_EQ(chain[0].value, heap.address("a"));
  EXPECT_EQ(chain[1].slot, heap.address("a") + 40);
  EXPECT_EQ(chain[1].value, heap.address("b") + 8);
}

TEST(Chain, OfALostBlockIsEmpty) {
  const DrawnHeap heap("a 16 -> b\n b 16");
  const Scan scan = heap.scan();
  EXPECT_TRUE(scan.chain(heap.number(scan, "b")).empty());
  EXPECT_EQ(heap.name(scan, *scan.head(heap.number(scan, "b"))), "a");
}

TEST(Holders, AreAllThatPointToABlock) {
  const DrawnHeap heap(R"(
    root global -> t
    root registers -> #1, t+8
    a 32 -> t, #0, t+4
    b 16 -> b
    t 16 -> t
    u 16 -> a
  )");
  const Scan scan = heap.scan();
  const BlockIndexNumber t = heap.number(scan, "t");
  const auto blocks = scan.block_holders(t);
  ASSERT_EQ(blocks.size(), 2u);  // both words of a; not t itself
  EXPECT_EQ(blocks[0].slot, heap.address("a"));
  EXPECT_EQ(blocks[1].slot, heap.address("a") + 16);
  const auto roots = scan.root_holders(t);
  ASSERT_EQ(roots.size(), 2u);
  EXPECT_EQ(roots[0].slot, 0x600000u);
  EXPECT_TRUE(roots[1].in_register);
  EXPECT_EQ(roots[1].slot, 1u);
}

TEST(Records, GroupByKindAndKeyLargestLast) {
  const DrawnHeap heap(R"(
    root global -> r
    r 500 key 1
    a 16 key 2 -> x
    x 24 key 3
    b 16 key 2 -> y
    y 24 key 3
    c 8 key 4
  )");
  const Scan scan = heap.scan();
  const std::vector<LossRecord> expected{
      {Verdict::definitely_lost, 4, 8, 1, 0, 0},
      {Verdict::indirectly_lost, 3, 48, 2, 0, 0},
      {Verdict::definitely_lost, 2, 32, 2, 48, 2},
      {Verdict::still_reachable, 1, 500, 1, 0, 0},
  };
  EXPECT_EQ(scan.records(), expected);
  const auto members = scan.members(expected[1]);
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(heap.name(scan, members[0]), "x");
  EXPECT_EQ(heap.name(scan, members[1]), "y");
}

TEST(SoleHolders, NamesAMappingThatAloneKeepsManyBlocks) {
  DrawnHeap heap(R"(
    root global -> g
    root mapping -> m, g
    root mapping -> s+8
    g 16
    m 16 -> n
    n 16 -> s
    s 16
    t 16
  )");
  const Scan scan = heap.scan();
  // Of five blocks m and n hang on the first mapping alone; s is kept by both, g by the global too.
  const auto sole = scan.sole_holders(0.1);
  ASSERT_EQ(sole.size(), 1u);
  EXPECT_EQ(sole[0].root, 1u);
  EXPECT_EQ(sole[0].keeps, (Total{32, 2}));
  EXPECT_TRUE(scan.sole_holders(0.5).empty());
}

TEST(Coverage, SaysWhatFollows) {
  Coverage coverage;
  EXPECT_TRUE(coverage.complete());
  coverage.threads = 3;
  coverage.threads_without_registers = 1;
  const auto lines = describe(coverage);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0],
            "1 of 3 threads gave no registers: what only those registers hold is reported as lost");
}

}  // namespace
}  // namespace heapledger::test
