// SPDX-License-Identifier: Apache-2.0
#include "analysis/heuristics.h"

#include <gtest/gtest.h>

#include "tests/analysis/drawn_heap.h"

namespace heapledger::test {
namespace {

// The heuristic by which the first block drawn counts as reachable, or its verdict.
std::string first(const std::string& text, ScanOptions options = {}) {
  const DrawnHeap heap(text);
  const Scan scan = heap.scan(options);
  const BlockIndexNumber b = heap.number(scan, "a");
  return std::string(scan.heuristic(b) == Heuristic::none ? verdict_name(scan.verdict(b))
                                                          : heuristic_name(scan.heuristic(b)));
}

TEST(Heuristics, StdString) {
  EXPECT_EQ(first("root global -> a+24\n a 56 -> #20, #31, #0"), "stdstring");
  EXPECT_EQ(first("root global -> a+24\n a 56 -> #31, #31, #0"), "stdstring");
  EXPECT_EQ(first("root global -> a+24\n a 56 -> #32, #31, #0"), "possibly lost");  // length > capacity
  EXPECT_EQ(first("root global -> a+24\n a 57 -> #20, #31, #0"), "possibly lost");
  EXPECT_EQ(first("root global -> a+16\n a 56 -> #20, #31, #0"), "possibly lost");
}

TEST(Heuristics, Length64) {
  EXPECT_EQ(first("root global -> a+8\n a 40 -> #32"), "length64");
  EXPECT_EQ(first("root global -> a+8\n a 40 -> #33"), "possibly lost");
  EXPECT_EQ(first("root global -> a+16\n a 40 -> #32"), "possibly lost");
}

TEST(Heuristics, NewArray) {
  EXPECT_EQ(first("root global -> a+8\n a 80 -> #3"), "newarray");
  EXPECT_EQ(first("root global -> a+8\n a 80 -> #5"), "possibly lost");
  EXPECT_EQ(first("root global -> a+8\n a 80 -> #0"), "possibly lost");
  EXPECT_EQ(first("root global -> a+16\n a 80 -> #3"), "possibly lost");
}

TEST(Heuristics, NewArrayOfNothing) {
  EXPECT_EQ(first("root global -> a+8\n a 8 -> #0"), "newarray");
  EXPECT_EQ(first("root global -> a+8\n a 8 -> #1"), "definitely lost");
  EXPECT_EQ(first("root global -> a+16\n a 16 -> #0"), "definitely lost");
  EXPECT_EQ(first("root global -> a+8\n a 8 -> #0", {.heuristics = false}), "definitely lost");
}

TEST(Heuristics, MultipleInheritance) {
  EXPECT_EQ(first("root global -> a+16\n a 48 -> #0x700000, #7, #0x700100"), "multipleinheritance");
  EXPECT_EQ(first("root global -> a+16\n a 48 -> #0x700000, #7, #0x700200"), "possibly lost");
  EXPECT_EQ(first("root global -> a+16\n a 48 -> #5, #7, #0x700100"), "possibly lost");
  EXPECT_EQ(first("root global -> a+20\n a 48 -> #0x700000, #7, #0x700100"), "possibly lost");
}

TEST(Heuristics, CanBeTurnedOff) {
  EXPECT_EQ(first("root global -> a+8\n a 40 -> #32", {.heuristics = false}), "possibly lost");
}

TEST(Heuristics, CarryOnFromBlockToBlock) {
  // A list linked through second bases; the last holds an ordinary pointer.
  const DrawnHeap heap(R"(
    root global -> a
    a 48 -> #0x700000, b+16
    b 48 -> #0x700000, c+16, #0x700100
    c 48 -> #0x700000, d, #0x700100
    d 16
  )");
  const Scan scan = heap.scan();
  EXPECT_EQ(heap.verdicts(scan),
            "a still reachable\nb still reachable\nc still reachable\nd still reachable\n");
  EXPECT_EQ(scan.heuristic(heap.number(scan, "b")), Heuristic::multiple_inheritance);
  EXPECT_EQ(scan.heuristic(heap.number(scan, "d")), Heuristic::none);
  EXPECT_EQ(scan.summary().by_heuristic[static_cast<int>(Heuristic::multiple_inheritance)], (Total{96, 2}));
}

TEST(Heuristics, AreForgottenWhereATrueStartPointerLeadsToo) {
  const DrawnHeap heap("root global -> a+8, b\n a 40 -> #32\n b 16 -> c\n c 16 -> a");
  const Scan scan = heap.scan();
  EXPECT_EQ(scan.heuristic(heap.number(scan, "a")), Heuristic::none);
  EXPECT_EQ(scan.verdict(heap.number(scan, "a")), Verdict::still_reachable);
}

TEST(Heuristics, PlayNoPartAmongLostBlocks) {
  EXPECT_EQ(DrawnHeap("a 40 -> #32\n b 16 -> a+8").verdicts(), "a indirectly lost\nb definitely lost\n");
  EXPECT_EQ(DrawnHeap("a 8 -> #1\n b 16 -> a+8").verdicts(), "a definitely lost\nb definitely lost\n");
}

TEST(Runtime, AThreadsDtvIsReachableThroughItsInteriorPointer) {
  DrawnHeap heap("root stack -> a+16\n a 64 -> 16: b\n b 16");
  EXPECT_EQ(heap.verdicts(), "a possibly lost\nb possibly lost\n");
  heap.roots.runtime_slots = {0x600000};
  EXPECT_EQ(heap.verdicts(), "a still reachable\nb still reachable\n");
  const Scan scan = heap.scan();
  EXPECT_EQ(scan.heuristic(heap.number(scan, "a")), Heuristic::runtime);
  EXPECT_EQ(heap.verdicts({.runtime = false}), "a possibly lost\nb possibly lost\n");
}

TEST(Runtime, TheLoadersFindObjectSegmentsAreReachable) {
  // { previous, to_free, ... } at +32 of its block, which to_free names; previous is such another.
  DrawnHeap heap(R"(
    root global -> a+32
    a 256 -> 32: b+16, a, #3, #3
    b 256 -> 16: #0, b, #5, #5
  )");
  EXPECT_EQ(heap.verdicts(), "a possibly lost\nb possibly lost\n");
  heap.roots.loader_data = {{0x600000, 0x601000}};
  EXPECT_EQ(heap.verdicts(), "a still reachable\nb still reachable\n");
}

}  // namespace
}  // namespace heapledger::test
