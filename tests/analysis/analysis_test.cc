// SPDX-License-Identifier: Apache-2.0
#include "analysis/analysis.h"

#include <gtest/gtest.h>

#include "tests/analysis/drawn_heap.h"

namespace heapledger::test {
namespace {

TEST(Scan, TellsTheFourClasses) {
  const DrawnHeap heap(R"(
    root global -> a
    a 32 -> b
    b 16
    c 64 -> d
    d 8
    root stack -> e+8
    e 24 -> f
    f 24
  )");
  EXPECT_EQ(heap.verdicts(),
            "a still reachable\nb still reachable\nc definitely lost\nd indirectly lost\n"
            "e possibly lost\nf possibly lost\n");
}

TEST(Scan, SumsRequestedBytes) {
  const DrawnHeap heap(R"(
    root global -> a
    a 33
    c 64 -> d
    d 7
    z 0
  )");
  const Scan scan = heap.scan();
  EXPECT_EQ(scan.summary()[Verdict::still_reachable], (Total{33, 1}));
  EXPECT_EQ(scan.summary()[Verdict::definitely_lost], (Total{64, 2}));  // z has no bytes
  EXPECT_EQ(scan.summary()[Verdict::indirectly_lost], (Total{7, 1}));
  EXPECT_EQ(scan.summary()[Verdict::possibly_lost], (Total{0, 0}));
}

// The nine cases of Valgrind's manual, 4.2.8: RRR is a root, A and B are blocks, ? is interior.
TEST(Scan, AgreesWithValgrindsNineCases) {
  EXPECT_EQ(DrawnHeap("root global -> b\n b 24").verdicts(), "b still reachable\n");            // 1
  EXPECT_EQ(DrawnHeap("root global -> a\n a 24 -> b\n b 24").verdicts(),
            "a still reachable\nb still reachable\n");                                          // 2
  EXPECT_EQ(DrawnHeap("b 24").verdicts(), "b definitely lost\n");                               // 3
  EXPECT_EQ(DrawnHeap("a 24 -> b\n b 24").verdicts(), "a definitely lost\nb indirectly lost\n");  // 4
  EXPECT_EQ(DrawnHeap("root global -> b+8\n b 24").verdicts(), "b possibly lost\n");            // 5
  EXPECT_EQ(DrawnHeap("root global -> a\n a 24 -> b+8\n b 24").verdicts(),
            "a still reachable\nb possibly lost\n");                                            // 6
  EXPECT_EQ(DrawnHeap("root global -> a+8\n a 24 -> b\n b 24").verdicts(),
            "a possibly lost\nb possibly lost\n");                                              // 7
  EXPECT_EQ(DrawnHeap("root global -> a+8\n a 24 -> b+8\n b 24").verdicts(),
            "a possibly lost\nb possibly lost\n");                                              // 8
  EXPECT_EQ(DrawnHeap("a 24 -> b+8\n b 24").verdicts(), "a definitely lost\nb indirectly lost\n");  // 9
}

TEST(Scan, UpgradesABlockThatAStartPointerReachesLater) {
  const DrawnHeap heap(R"(
    root stack -> a+8
    root registers -> x
    x 16 -> y
    y 16 -> a
    a 24 -> b
    b 24
  )");
  EXPECT_EQ(heap.verdicts(),
            "x still reachable\ny still reachable\na still reachable\nb still reachable\n");
}

TEST(Scan, IgnoresAPointerToSelf) {
  EXPECT_EQ(DrawnHeap("a 24 -> a").verdicts(), "a definitely lost\n");
  EXPECT_EQ(DrawnHeap("a 24 -> a+8\n b 24 -> a").verdicts(), "a indirectly lost\nb definitely lost\n");
}

TEST(Scan, TakesZeroSizeForOneByte) {
  EXPECT_EQ(DrawnHeap("root global -> z\n z 0").verdicts(), "z still reachable\n");
  EXPECT_EQ(DrawnHeap("root global -> z+1\n z 0").verdicts(), "z definitely lost\n");
}

TEST(Scan, DoesNotTakeOnePastTheEndForAReference) {
  EXPECT_EQ(DrawnHeap("root global -> a+24\n a 24").verdicts(), "a definitely lost\n");
  EXPECT_EQ(DrawnHeap("root global -> a+23\n a 24").verdicts(), "a possibly lost\n");
}

TEST(Scan, SeesOnlyWholeAlignedWords) {
  // The pointer at offset 16 of a 23-byte block is not wholly inside; the one at 8 is.
  EXPECT_EQ(DrawnHeap("root global -> a\n a 23 -> 16: b\n b 24").verdicts(),
            "a still reachable\nb definitely lost\n");
  EXPECT_EQ(DrawnHeap("root global -> a\n a 23 -> 8: b\n b 24").verdicts(),
            "a still reachable\nb still reachable\n");
  // At an odd place.
  EXPECT_EQ(DrawnHeap("root global -> a\n a 32 -> 4: b\n b 24").verdicts(),
            "a still reachable\nb definitely lost\n");
}

TEST(Scan, DoesNotReadBetweenBlocks) {
  // The word behind a's requested size still holds a pointer; it is no longer a's.
  EXPECT_EQ(DrawnHeap("root global -> a\n a 8 -> 8: b\n b 24").verdicts(),
            "a still reachable\nb definitely lost\n");
}

TEST(Scan, HandlesBlocksOfAnyAlignment) {
  const DrawnHeap heap(R"(
    root global -> a, c
    a 3 at 0x10001
    b 2 at 0x10004
    c 10 at 0x10006
    d 17 at 0x10013 -> 5: b, a
  )");
  EXPECT_EQ(heap.verdicts(),
            "a still reachable\nb indirectly lost\nc still reachable\nd definitely lost\n");
}

TEST(Scan, FindsPointersIntoAndOutOfLargeBlocks) {
  // 3 MiB and 80 MiB: scanned in slices, longer than a leaf of the index.
  const DrawnHeap heap(R"(
    root global -> big, huge+70000008
    big 3145728 at 0x10000000 -> 8: a, 2097144: b, c, 3145720: d
    a 16
    b 16
    c 16
    d 16
    huge 83886080 at 0x20000000 -> 83886072: e
    e 16
  )");
  EXPECT_EQ(heap.verdicts(),
            "big still reachable\na still reachable\nb still reachable\nc still reachable\n"
            "d still reachable\nhuge possibly lost\ne possibly lost\n");
}

TEST(Scan, BlocksMayBeSomebodyElses) {
  const DrawnHeap heap("root global -> a\n a 16 -> b\n b 16\n c 16");
  ScanInput input = heap.input();
  const std::vector<Block> blocks = std::move(input.blocks);
  input.blocks = {};
  input.lent_blocks = blocks;
  const Scan scan = *heapledger::scan(std::move(input));
  EXPECT_EQ(heap.verdicts(scan), "a still reachable\nb still reachable\nc definitely lost\n");
  EXPECT_EQ(scan.blocks().data(), blocks.data());  // not a copy
}

TEST(Scan, OverlappingBlocksOfSomebodyElseAreLeftOut) {
  const DrawnHeap heap("root global -> a\n a 64 -> b\n b 16");
  ScanInput input = heap.input();
  std::vector<Block> blocks = std::move(input.blocks);
  blocks.insert(blocks.begin() + 1, Block{blocks[0].start + 8, 16});
  input.blocks = {};
  input.lent_blocks = blocks;
  const Scan scan = *heapledger::scan(std::move(input));
  EXPECT_EQ(scan.blocks().size(), 2u);
  EXPECT_EQ(scan.coverage().discarded_blocks, 1u);
  EXPECT_EQ(heap.verdicts(scan), "a still reachable\nb still reachable\n");
}

TEST(Scan, CountsWhatItCannotRead) {
  DrawnHeap heap("root global -> a\n a 16 -> b\n b 16\n far 100 at 0x40000000");
  ScanInput input = heap.input();
  FakeMemory without;  // nothing mapped but the root
  without.map({0x600000, 0x601000});
  without.write(0x600000, heap.address("a"));
  ScanInput blind{without, input.blocks, input.roots, {}, {}, {}, {}};
  blind.roots.roots.push_back({RootKind::mapping, {0x900000, 0x903000}});
  const Scan scan = *heapledger::scan(std::move(blind));
  EXPECT_EQ(scan.coverage().unreadable_root_bytes, 0x3000u);
  EXPECT_EQ(scan.coverage().unreadable_block_bytes, 16u + 16 + 96);  // whole words of them
  EXPECT_EQ(scan.coverage().first_unreadable, 0x10000u);
  EXPECT_FALSE(scan.coverage().complete());
  EXPECT_EQ(scan.verdict(0), Verdict::still_reachable);
  EXPECT_TRUE(heap.scan().coverage().complete());
}

TEST(Scan, LooksAwayFromExcludedRanges) {
  DrawnHeap heap("root global -> a, b\n a 32 -> c, d\n b 16\n c 16\n d 16");
  heap.roots.excluded = {{0x10008, 0x10010}, {0x600008, 0x600010}};
  EXPECT_EQ(heap.verdicts(), "a still reachable\nb definitely lost\nc still reachable\nd definitely lost\n");
}

TEST(Scan, ReadsOnlyPagesThatArePresent) {
  DrawnHeap heap("root global -> a\n a 262144 -> 131072: b, 8: c\n b 16\n c 16");
  ScanInput input = heap.input();
  input.present = [&](AddressRange range) {
    return std::vector<AddressRange>{{range.begin, range.begin + 4096}};
  };
  const Scan scan = *heapledger::scan(std::move(input));
  EXPECT_EQ(heap.verdicts(scan), "a still reachable\nb definitely lost\nc still reachable\n");
}

TEST(Scan, DiscardsOverlappingBlocks) {
  const DrawnHeap heap("root global -> a\n a 32 at 0x10000\n b 32 at 0x10010\n c 16 at 0x10020");
  const Scan scan = heap.scan();
  EXPECT_EQ(scan.blocks().size(), 2u);
  EXPECT_EQ(scan.coverage().discarded_blocks, 1u);
}

TEST(Scan, DiscardsBlocksOutsideOfUserSpace) {  // handles of functions the user names
  const DrawnHeap heap("root global -> a\n a 32 at 0x7fffffffffe0\n b 32 at 0x7ffffffffff0\n"
                       "c 16 at 0x800000000000\n d 16 at 0xffff800000000000");
  const Scan scan = heap.scan();
  EXPECT_EQ(scan.blocks().size(), 1u);
  EXPECT_EQ(scan.coverage().discarded_blocks, 3u);
}

TEST(Scan, CutsBlocksOutOfRootsThatHoldThem) {
  // A static pool: block p lies in a root; its contents count only when p itself is reachable.
  DrawnHeap heap("root global -> a\n a 16\n p 32 at 0x600100 -> q\n q 16");
  EXPECT_EQ(heap.verdicts(),
            "a still reachable\np definitely lost\nq indirectly lost\n");
  heap.roots.roots[0].through_blocks = true;
  EXPECT_EQ(heap.verdicts(), "a still reachable\np definitely lost\nq still reachable\n");
}

TEST(Scan, StopsWhenAsked) {
  const DrawnHeap heap("a 16");
  ScanInput input = heap.input();
  input.progress = [](auto, auto, auto) { return false; };
  const auto result = heapledger::scan(std::move(input));
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().message.find("interrupted"), std::string::npos);
}

TEST(Scan, OfNothingIsEmpty) {
  const Scan scan = DrawnHeap("root global -> #5").scan();
  EXPECT_EQ(scan.summary(), Summary{});
  EXPECT_TRUE(scan.records().empty());
}

TEST(Scan, IsTheSameWithManyThreads) {
  const DrawnHeap heap("root global -> a\n a 3145728 -> 2097144: b, c\n b 16\n c 16 -> b+8\n d 16 -> e\n e 16");
  for (unsigned threads : {1u, 2u, 7u}) {
    EXPECT_EQ(heap.verdicts(ScanOptions{.threads = threads}), heap.verdicts(ScanOptions{.threads = 1}));
  }
}

}  // namespace
}  // namespace heapledger::test
