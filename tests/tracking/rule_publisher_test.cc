// SPDX-License-Identifier: Apache-2.0
#include "tracking/rule_publisher.h"

#include <gtest/gtest.h>

#include "tests/support/self_target.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kBuckets = 4;

// This process's own memory stands for the inferior's; whether its threads run is said.
class Publisher : public ::testing::Test, public heapledger::testing::SelfTarget {
 protected:
  Publisher() : cache_(kBuckets) {
    state_.rules = reinterpret_cast<std::uint64_t>(cache_.data());
    state_.rule_mask = kBuckets - 1;
    cache_[1].entries[0] = {0x1234, 8, -16, 1, 0};
    cache_[2].entries[3] = {agent::kRuleBeingReplaced, 8, -16, 1, 0};
  }
  bool all_stopped() override { return stopped_; }
  void publish() {
    const auto done =
        publisher_.publish(reinterpret_cast<Address>(&state_), CodeMap(), code_went_away_);
    ASSERT_TRUE(done) << done.error().message;
  }

  agent::State state_{};
  std::vector<agent::RuleBucket> cache_;
  bool stopped_ = true, code_went_away_ = true;
  RulePublisher publisher_{*this, *this};
};

TEST_F(Publisher, ACacheOfStoppedThreadsIsEmptiedButForTheEntryOneIsWriting) {
  publish();
  EXPECT_EQ(state_.rules, reinterpret_cast<std::uint64_t>(cache_.data()));
  EXPECT_EQ(cache_[1].entries[0].pc, 0u);
  EXPECT_EQ(cache_[2].entries[3].pc, agent::kRuleBeingReplaced);
  EXPECT_NE(state_.modules, 0u);
}

TEST_F(Publisher, RunningThreadsGetAnotherCache) {
  stopped_ = false;
  publish();
  EXPECT_NE(state_.rules, reinterpret_cast<std::uint64_t>(cache_.data()));
  const auto* fresh = reinterpret_cast<const agent::RuleBucket*>(state_.rules);
  EXPECT_EQ(fresh[1].entries[0].pc, 0u);
  EXPECT_EQ(cache_[1].entries[0].pc, 0x1234u);
}

TEST_F(Publisher, ButNotForEver) {
  stopped_ = false;
  std::uint64_t before = 0;
  for (int i = 0; i < 100; ++i) {
    before = state_.rules;
    publish();
  }
  EXPECT_EQ(state_.rules, before);
  EXPECT_LE(publisher_.memory().size(), 200u);
}

TEST_F(Publisher, NothingIsEmptiedWhenNoCodeWentAway) {
  code_went_away_ = false;
  publish();
  EXPECT_EQ(cache_[1].entries[0].pc, 0x1234u);
}

}  // namespace
}  // namespace heapledger
