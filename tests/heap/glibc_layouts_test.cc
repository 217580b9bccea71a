// SPDX-License-Identifier: Apache-2.0
//
// The heap of a process of every release of glibc that is known (made_glibc.h).
#include "tests/heap/made_glibc.h"

#include <gtest/gtest.h>

namespace heapledger {
namespace {

using made_glibc::kMapped;
using made_glibc::kReleases;
using made_glibc::Process;
using made_glibc::Release;

std::vector<Address> starts(const std::vector<Block>& blocks) {
  std::vector<Address> result;
  for (const Block& block : blocks) result.push_back(block.start);
  return result;
}

class GlibcLayouts : public ::testing::TestWithParam<Release> {};

TEST_P(GlibcLayouts, EveryBlockIsFound) {
  const Process process(GetParam());
  const auto walk = process.walk();
  ASSERT_TRUE(walk) << walk.error().message;
  EXPECT_EQ(walk->messages, std::vector<std::string>());
  std::vector<Address> expected = process.used_;
  expected.push_back(kMapped + 16);
  EXPECT_EQ(starts(walk->used), expected);
  EXPECT_EQ(starts(walk->free), process.free_);
  EXPECT_EQ(starts(walk->internal), std::vector<Address>{process.cache_});
  EXPECT_EQ(walk->used.back().size, 0x3000u - 16);
  EXPECT_EQ(walk->mapped, 1u);
  // It is said of every release but the one the other tests run.
  const std::vector<std::string> untested{fmt::format(
      "the heap is read by the layout of glibc 2.{}, checked against what was found there but never "
      "run against that release", GetParam().minor)};
  EXPECT_EQ(walk->notes, GetParam().minor == 36 ? std::vector<std::string>() : untested);
}

// The neighbour's layout does not fit: what is wrong shows.
TEST_P(GlibcLayouts, AnotherReleasesLayoutIsNoticed) {
  Release wrong = GetParam();
  wrong.chunk = wrong.chunk == 0x290 ? 0x250 : 0x290;
  const auto walk = Process(wrong).walk();
  ASSERT_TRUE(walk) << walk.error().message;
  EXPECT_FALSE(walk->complete());
}

INSTANTIATE_TEST_SUITE_P(Releases, GlibcLayouts, ::testing::ValuesIn(kReleases),
                         [](const auto& info) { return fmt::format("2_{}", info.param.minor); });

TEST(GlibcLayoutsOutside, AreRefused) {
  for (unsigned minor : {27u, 42u}) {
    Release release = kReleases[0];
    release.minor = minor;
    const auto walk = Process(release).walk();
    ASSERT_FALSE(walk);
    EXPECT_EQ(walk.error().message,
              fmt::format("cannot read the heap of app: glibc 2.{} is not supported (2.28 to 2.41 are)",
                          minor));
  }
}

}  // namespace
}  // namespace heapledger
