// SPDX-License-Identifier: Apache-2.0
#include "tracking/mapping_replay.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

using namespace heapledger;

namespace {

using Action = MappingEvent::Action;

// One letter a page: events are drawn where they happen, the result is drawn the same way. Pages of
// the first event are 'a', of the second 'b' ...; "-" releases, "D" (at the first page) detaches.
class Drawing {
 public:
  Drawing& map(const std::string& pages) { return add(pages, Action::map); }
  Drawing& unmap(const std::string& pages) { return add(pages, Action::unmap); }
  Drawing& detach(const std::string& pages) { return add(pages, Action::detach); }
  std::string left() const {
    std::string out(16, '.');
    Address last = 0;
    for (const MappedPiece& piece : replay_mappings(events_)) {
      EXPECT_LT(piece.range.begin, piece.range.end);
      EXPECT_GE(piece.range.begin, last);
      last = piece.range.end;
      for (Address a = piece.range.begin; a < piece.range.end; a += kPage) {
        out[(a - kBase) / kPage] = char('a' + piece.event);
      }
    }
    return out.substr(0, out.find_last_not_of('.') + 1);
  }
  std::size_t pieces() const { return replay_mappings(events_).size(); }

 private:
  static constexpr Address kPage = 4096;
  static constexpr Address kBase = 0x7f0000000000;
  Drawing& add(const std::string& pages, Action action) {
    const auto first = pages.find_first_not_of(' ');
    const Address begin = kBase + first * kPage;
    events_.push_back(
        {events_.size() + 1, {begin, begin + (pages.size() - first) * kPage}, action});
    return *this;
  }
  std::vector<MappingEvent> events_;
};

}  // namespace

TEST(MappingReplay, KeepsWhatWasNotReleased) {
  EXPECT_EQ(Drawing().map("##").map("   ###").left(), "aa.bbb");
  EXPECT_EQ(Drawing().map("##").map("  ###").pieces(), 2u);  // neighbours stay two
  EXPECT_EQ(Drawing().left(), "");
}

TEST(MappingReplay, ReleasesAWholeMapping) {
  EXPECT_EQ(Drawing().map("###").unmap("###").left(), "");
  EXPECT_EQ(Drawing().map(" ###").unmap("#####").left(), "");
}

TEST(MappingReplay, ReleasesTheFront) {
  EXPECT_EQ(Drawing().map("####").unmap("##").left(), "..aa");
}

TEST(MappingReplay, ReleasesTheBack) {
  EXPECT_EQ(Drawing().map("####").unmap("  ##").left(), "aa");
}

TEST(MappingReplay, ReleasesTheMiddle) {
  EXPECT_EQ(Drawing().map("#####").unmap("  #").left(), "aa.aa");
  EXPECT_EQ(Drawing().map("#####").unmap("  #").pieces(), 2u);
  EXPECT_EQ(Drawing().map("#####").unmap("  #").unmap("####").left(), "....a");
}

TEST(MappingReplay, ReleasesAcrossTwo) {
  EXPECT_EQ(Drawing().map("###").map("    ###").unmap("  ###").left(), "aa...bb");
  EXPECT_EQ(Drawing().map("###").map("   #").map("    ###").unmap("  ###").left(), "aa...cc");
}

TEST(MappingReplay, ReleasesNothingWhereNothingIs) {
  EXPECT_EQ(Drawing().unmap("####").map(" ##").unmap("    ##").left(), ".bb");
}

TEST(MappingReplay, MapsOverOlderOnes) {
  EXPECT_EQ(Drawing().map("#####").map("  #").left(), "aabaa");
  EXPECT_EQ(Drawing().map("###").map("  ###").left(), "aabbb");
  EXPECT_EQ(Drawing().map("  ###").map("###").left(), "bbbaa");
  EXPECT_EQ(Drawing().map(" ##").map("####").left(), "bbbb");
  EXPECT_EQ(Drawing().map("#####").map("  #").unmap("  #").left(), "aa.aa");
}

TEST(MappingReplay, FollowsMremap) {
  // Moves: the old place is released, then the new one mapped.
  EXPECT_EQ(Drawing().map("##").unmap("##").map("     ###").left(), ".....ccc");
  // Grows in place: the new record covers all of it.
  EXPECT_EQ(Drawing().map("##").unmap("##").map("####").left(), "cccc");
  EXPECT_EQ(Drawing().map("##").map("####").left(), "bbbb");
  // Shrinks: the tail is released.
  EXPECT_EQ(Drawing().map("####").unmap("####").map("##").left(), "cc");
}

TEST(MappingReplay, DetachesASharedSegmentByItsAddress) {
  EXPECT_EQ(Drawing().map("###").map("    ##").detach("#").left(), "....bb");
  // Also what is left of it in pieces.
  EXPECT_EQ(Drawing().map("#####").map(" #").unmap("   #").detach("#").left(), ".b");
  EXPECT_EQ(Drawing().map("#####").unmap("#").detach("#").left(), "");
  // Nothing was attached there, or it is gone already.
  EXPECT_EQ(Drawing().map("###").detach(" #").left(), "aaa");
  EXPECT_EQ(Drawing().map("###").detach("#").detach("#").map("#").left(), "d");
}

TEST(MappingReplay, EqualsAPagewiseModel) {
  std::mt19937_64 random(99);
  for (int round = 0; round < 500; ++round) {
    std::vector<MappingEvent> events;
    std::vector<int> page(64, -1);
    for (int i = 0; i < 60; ++i) {
      const Address begin = random() % 64, end = begin + 1 + random() % (64 - begin);
      const bool map = random() % 3 != 0;
      events.push_back({std::uint64_t(i), {begin, end}, map ? Action::map : Action::unmap});
      for (Address p = begin; p < end; ++p) page[p] = map ? i : -1;
    }
    std::vector<int> replayed(64, -1);
    for (const MappedPiece& piece : replay_mappings(events)) {
      for (Address p = piece.range.begin; p < piece.range.end; ++p) replayed[p] = int(piece.event);
    }
    ASSERT_EQ(replayed, page) << "round " << round;
  }
}
