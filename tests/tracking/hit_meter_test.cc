// SPDX-License-Identifier: Apache-2.0
#include "tracking/hit_meter.h"

#include <gtest/gtest.h>

using namespace heapledger;

namespace {

HitMeter::Time at(int ms) { return HitMeter::Time{} + std::chrono::milliseconds(ms); }

TEST(HitMeter, CostsAreTheVisitAndTheDebuggersPart) {
  HitMeter meter;
  meter.begin(at(0), false);  // an entry
  meter.end(at(1));
  meter.begin(at(3), true);  // its return: 2 ms of the debugger's
  meter.end(at(4));
  meter.begin(at(14), false);  // the program ran 8 ms and the debugger took 2
  meter.end(at(15));
  const HitCosts costs = meter.costs();
  EXPECT_EQ(costs.hits, 3u);
  EXPECT_DOUBLE_EQ(costs.seconds, 0.015);
  EXPECT_DOUBLE_EQ(costs.seconds_a_hit, 0.003);
  EXPECT_DOUBLE_EQ(costs.rate(), 200);
  EXPECT_DOUBLE_EQ(costs.stopped(), 0.6);
}

TEST(HitMeter, TimeAtThePromptIsNotCounted) {
  HitMeter meter;
  meter.begin(at(0), false);
  meter.end(at(1));
  meter.pause();
  meter.begin(at(60000), true);
  meter.end(at(60001));
  EXPECT_DOUBLE_EQ(meter.costs().seconds, 0.002);
  EXPECT_DOUBLE_EQ(meter.costs().seconds_a_hit, 0.001);
}

TEST(HitMeter, NothingIsKnownBeforeTheFirstHit) {
  EXPECT_EQ(HitMeter().costs().rate(), 0);
  EXPECT_EQ(HitMeter().costs().stopped(), 0);
}

}  // namespace
