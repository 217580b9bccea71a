// SPDX-License-Identifier: Apache-2.0
#include "analysis/heads.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "tests/analysis/drawn_heap.h"

namespace heapledger::test {
namespace {

const ScanOptions kValgrind{.leader = LeaderRule::valgrind};

TEST(Heads, ACycleHasOneHead) {
  const DrawnHeap heap("a 16 -> b\n b 16 -> c\n c 16 -> a");
  EXPECT_EQ(heap.verdicts(), "a definitely lost\nb indirectly lost\nc indirectly lost\n");
  EXPECT_EQ(heap.verdicts(kValgrind), heap.verdicts());
}

TEST(Heads, ATwoWayGroupHasOneHead) {
  const DrawnHeap heap("root global -> r\n r 8\n a 16 -> b\n b 24 -> a, c\n c 24 -> b, d\n d 16 -> c");
  EXPECT_EQ(heap.verdicts(),
            "r still reachable\na definitely lost\nb indirectly lost\nc indirectly lost\nd indirectly lost\n");
}

TEST(Heads, TwoWayGroupsMayRunInACircleThemselves) {
  // a=b leads to c=d, which leads back; e=f leads to them all in one of the two.
  const std::string circle = "a 24 -> b, c\n b 16 -> a\n c 24 -> d, a\n d 16 -> c\n";
  EXPECT_EQ(DrawnHeap(circle).verdicts(),
            "a definitely lost\nb indirectly lost\nc indirectly lost\nd indirectly lost\n");
  EXPECT_EQ(DrawnHeap(circle + "e 24 -> f, d\n f 16 -> e").verdicts(),
            "a indirectly lost\nb indirectly lost\nc indirectly lost\nd indirectly lost\n"
            "e definitely lost\nf indirectly lost\n");
  // Beside a group that leads to nobody else: both have a head.
  const DrawnHeap two(circle + "e 24 -> f\n f 16 -> e");
  EXPECT_EQ(two.scan().summary()[Verdict::definitely_lost].blocks, 2u);
}

// A pair is seen although one of the two points to more blocks than are looked at, and leads all of them.
TEST(Heads, AnArrayWhoseElementsPointBack) {
  std::string text = "array 400 -> ";
  std::string elements;
  for (int i = 0; i < 50; ++i) {
    text += fmt::format("{}e{}", i == 0 ? "" : ", ", i);
    elements += fmt::format("e{} 16 -> array\n", i);
  }
  const DrawnHeap heap(text + "\n" + elements);
  const Scan scan = heap.scan();
  EXPECT_EQ(scan.summary()[Verdict::definitely_lost], (Total{400, 1}));
  EXPECT_EQ(scan.led_by(heap.number(scan, "array")), (Total{800, 50}));
}

TEST(Heads, OnlyTheSourceComponentIsDefinite) {
  // Valgrind's quirk: L <-> x, P -> x, L below P. It reports L and P, here P leads everything.
  const DrawnHeap heap("l 32 -> x\n x 16 -> l\n p 32 -> x");
  EXPECT_EQ(heap.verdicts(), "l indirectly lost\nx indirectly lost\np definitely lost\n");
  EXPECT_EQ(heap.verdicts(kValgrind), "l definitely lost\nx indirectly lost\np definitely lost\n");
}

TEST(Heads, ValgrindsLeaderIsDemotedByALaterOne) {
  const DrawnHeap heap("l 32 -> x\n x 16 -> l\n p 32 -> l");
  for (const auto& options : {ScanOptions{}, kValgrind}) {
    EXPECT_EQ(heap.verdicts(options), "l indirectly lost\nx indirectly lost\np definitely lost\n");
    const Scan scan = heap.scan(options);
    EXPECT_EQ(heap.name(scan, *scan.head(heap.number(scan, "x"))), "p");
    EXPECT_EQ(scan.led_by(heap.number(scan, "p")), (Total{48, 2}));
  }
}

TEST(Heads, PrefersABlockWithoutAnInnerStartPointer) {
  // n points back into f's middle (a map's header in its owner): f owns n, not the reverse.
  const DrawnHeap heap("n 48 -> f+8\n f 64 -> n");
  EXPECT_EQ(heap.verdicts(), "n indirectly lost\nf definitely lost\n");
}

TEST(Heads, PrefersABlockWithAVtable) {
  const DrawnHeap heap("a 32 -> b\n b 32 -> #0x700000, a");
  EXPECT_EQ(heap.verdicts(), "a indirectly lost\nb definitely lost\n");
}

TEST(Heads, OtherwiseTheLowestAddress) {
  const DrawnHeap heap("a 32 -> b\n b 32 -> a");
  EXPECT_EQ(heap.verdicts(), "a definitely lost\nb indirectly lost\n");
}

TEST(Heads, CountsASharedChildOnceWithTheFirstHead) {
  const DrawnHeap heap("q 16 -> s\n p 16 -> s\n s 40");
  const Scan scan = heap.scan();
  EXPECT_EQ(heap.name(scan, *scan.head(heap.number(scan, "s"))), "q");
  EXPECT_EQ(scan.led_by(heap.number(scan, "q")), (Total{40, 1}));
  EXPECT_EQ(scan.led_by(heap.number(scan, "p")), (Total{0, 0}));
}

TEST(Heads, AnInteriorPointerLeadsAsWell) {
  EXPECT_EQ(DrawnHeap("a 16 -> b+8\n b 16 -> c+8\n c 16").verdicts(),
            "a definitely lost\nb indirectly lost\nc indirectly lost\n");
}

TEST(Heads, AReachableBlockIsNeverLedByALostOne) {
  EXPECT_EQ(DrawnHeap("root global -> a\n a 16\n b 16 -> a").verdicts(),
            "a still reachable\nb definitely lost\n");
}

TEST(Heads, TwoComponentsInARow) {
  // a <-> b -> c <-> d: one head.
  EXPECT_EQ(DrawnHeap("c 16 -> d\n d 16 -> c\n a 16 -> b\n b 24 -> a, c").verdicts(),
            "c indirectly lost\nd indirectly lost\na definitely lost\nb indirectly lost\n");
}

TEST(Heads, AreNotChosenWhenInterrupted) {
  // A chain and a ring: every call of the callback may be the one that stops the scan.
  const DrawnHeap heap("a 16 -> b\n b 16\n c 16 -> d\n d 16 -> c");
  int stops = 0;
  for (int stop_at = 1;; ++stop_at) {
    ScanInput input = heap.input();
    int calls = 0;
    input.progress = [&](auto, auto, std::string_view what) {
      return what != "grouping what is lost" || ++calls != stop_at;
    };
    const auto scan = heapledger::scan(std::move(input));
    if (scan) break;
    EXPECT_EQ(scan.error().message, "interrupted: nothing was judged");
    ++stops;
  }
  EXPECT_GE(stops, 2);
}

TEST(Heads, AListOfAMillionBlocksNeedsNoDeepRecursion) {
  constexpr std::uint32_t kCount = 1000000;
  FakeMemory memory;
  memory.map({0x100000, 0x100000 + kCount * 32ull});
  ScanInput input{memory, {}, {}, {}, {}, {}, {}};
  for (std::uint32_t i = 0; i < kCount; ++i) {
    input.blocks.push_back({0x100000 + i * 32ull, 16});
    // Each points to the one before it; the last is the head.
    if (i > 0) memory.write(0x100000 + i * 32ull, 0x100000 + (i - 1) * 32ull);
  }
  const Scan scan = *heapledger::scan(std::move(input));
  EXPECT_EQ(scan.summary()[Verdict::definitely_lost], (Total{16, 1}));
  EXPECT_EQ(scan.summary()[Verdict::indirectly_lost], (Total{16ull * (kCount - 1), kCount - 1}));
  EXPECT_EQ(scan.verdict(kCount - 1), Verdict::definitely_lost);
}

// A lost graph in which the search from one head grows wide enough to be shared by threads. A ring at
// the lowest addresses leads to most of it: blocks that another head leads to as well, and that only
// the ring, found last, takes from it.
class WideGraph {
 public:
  WideGraph() {
    memory_.map({at(0), at(kCount)});
    std::mt19937 random(1);
    for (std::uint32_t i = 0; i < kCount; ++i) {
      for (std::uint32_t& target : pointers_[i]) target = kRing + random() % (kCount - kRing);
      if (i < kRing) pointers_[i][0] = (i + 1) % kRing;
      for (unsigned k = 0; k < 2; ++k) memory_.write(at(i) + k * 8, at(pointers_[i][k]));
    }
  }

  Scan scan(unsigned threads) const {
    ScanInput input{memory_, {}, {}, {}, {}, {}, {}};
    for (std::uint32_t i = 0; i < kCount; ++i) input.blocks.push_back({at(i), 16});
    return *heapledger::scan(std::move(input), {.threads = threads});
  }

  // Who heads each block, in one simple search after the other.
  std::vector<std::uint32_t> heads() const {
    std::vector<bool> held(kCount);
    for (std::uint32_t i = 0; i < kCount; ++i) {
      for (const std::uint32_t target : pointers_[i]) {
        if (target != i) held[target] = true;
      }
    }
    held[0] = false;  // the ring's head: its lowest address
    std::vector<std::uint32_t> heads(kCount, kNoParent);
    for (std::uint32_t head = 0; head < kCount; ++head) {
      if (held[head]) continue;
      for (std::vector<std::uint32_t> stack{head}; !stack.empty();) {
        const std::uint32_t b = stack.back();
        stack.pop_back();
        if (heads[b] != kNoParent || (b != head && !held[b])) continue;
        heads[b] = head;
        stack.insert(stack.end(), pointers_[b].begin(), pointers_[b].end());
      }
    }
    return heads;
  }

  static constexpr std::uint32_t kCount = 300000;

 private:
  static constexpr std::uint32_t kRing = 10;
  static Address at(std::uint32_t i) { return 0x100000 + i * 32ull; }

  FakeMemory memory_;
  std::vector<std::array<std::uint32_t, 2>> pointers_ = std::vector<std::array<std::uint32_t, 2>>(kCount);
};

TEST(Heads, AWideSearchFindsTheSameWithAnyNumberOfThreads) {
  const WideGraph graph;
  const std::vector<std::uint32_t> heads = graph.heads();
  for (const unsigned threads : {1u, 4u}) {
    const Scan scan = graph.scan(threads);
    std::uint32_t different = 0;
    for (std::uint32_t b = 0; b < WideGraph::kCount; ++b) different += scan.head(b) != heads[b];
    EXPECT_EQ(different, 0u) << threads << " threads";
    EXPECT_GT(scan.led_by(0).blocks, WideGraph::kCount / 2);
  }
}

TEST(Suppression, TakesWhatOnlyItsBlocksLeadTo) {
  const DrawnHeap heap(R"(
    s 16 key 7 -> only, both
    only 24
    both 32
    h 40 -> both
    p 48 key 7
    root stack -> p+8
  )");
  ScanInput input = heap.input();
  input.suppressed = [](std::uint32_t key, Verdict) { return key == 7; };
  const Scan scan = *heapledger::scan(std::move(input));
  EXPECT_EQ(heap.verdicts(scan),
            "s suppressed\nonly suppressed\nboth indirectly lost\nh definitely lost\np suppressed\n");
  EXPECT_EQ(heap.name(scan, *scan.head(heap.number(scan, "both"))), "h");

  ScanInput again = heap.input();
  again.suppressed = [](std::uint32_t key, Verdict) { return key == 7; };
  const Scan record_only = *heapledger::scan(std::move(again), ScanOptions{.suppress_children = false});
  EXPECT_EQ(record_only.verdict(heap.number(record_only, "only")), Verdict::indirectly_lost);
}

TEST(Suppression, NeverTouchesReachableBlocks) {
  const DrawnHeap heap("root global -> a\n a 16 key 7");
  ScanInput input = heap.input();
  input.suppressed = [](std::uint32_t, Verdict) { return true; };
  EXPECT_EQ(heap.verdicts(*heapledger::scan(std::move(input))), "a still reachable\n");
}

}  // namespace
}  // namespace heapledger::test
