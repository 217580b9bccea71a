// SPDX-License-Identifier: Apache-2.0
//
// The real hooks in this process's real allocator, for the time of a test.
#pragma once

#include <gtest/gtest.h>

#include <utility>

#include "tests/support/self_target.h"
#include "tracking/tracker.h"

namespace heapledger::testing {

class HookedProcess : public ::testing::Test {
 protected:
  HookedProcess() : tracker_(target_, target_) {
    const auto started = tracker_.start({});
    EXPECT_TRUE(started) << (started ? "" : started.error().message);
  }
  ~HookedProcess() override { (void)tracker_.stop(); }

  // Hooks out, then what they recorded.
  Ledger stopped() {
    const auto done = tracker_.stop();
    EXPECT_TRUE(done) << (done ? "" : done.error().message);
    auto ledger = tracker_.read_ledger();
    EXPECT_TRUE(ledger) << (ledger ? "" : ledger.error().message);
    return ledger ? std::move(*ledger) : Ledger{};
  }

  SelfTarget target_;
  Tracker tracker_;
};

}  // namespace heapledger::testing
