// SPDX-License-Identifier: Apache-2.0
#include "commands/spelling.h"

#include <gtest/gtest.h>

#include <vector>

namespace heapledger {
namespace {

const std::vector<std::string> kWords = {"top", "stop", "status", "who-owns"};

TEST(Spelling, CountsMistakes) {
  EXPECT_EQ(spelling_distance("", ""), 0u);
  EXPECT_EQ(spelling_distance("top", ""), 3u);
  EXPECT_EQ(spelling_distance("tpo", "top"), 1u);
  EXPECT_EQ(spelling_distance("statis", "status"), 1u);
  EXPECT_EQ(spelling_distance("statuus", "status"), 1u);
  EXPECT_EQ(spelling_distance("whoons", "who-owns"), 2u);
}

TEST(Spelling, FindsWhatWasMeant) {
  EXPECT_EQ(meant("tpo", kWords), "top");
  EXPECT_EQ(meant("statsu", kWords), "status");
  EXPECT_EQ(meant("who_own", kWords), "who-owns");
}

TEST(Spelling, DoesNotGuessWildly) {
  EXPECT_EQ(meant("map", kWords), std::nullopt);
  EXPECT_EQ(meant("nonsense", kWords), std::nullopt);
  EXPECT_EQ(meant("", kWords), std::nullopt);
  EXPECT_EQ(meant(std::string(1 << 20, 'x'), kWords), std::nullopt);
}

}  // namespace
}  // namespace heapledger
