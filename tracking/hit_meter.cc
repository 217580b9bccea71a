// SPDX-License-Identifier: Apache-2.0
#include "tracking/hit_meter.h"

#include <algorithm>

namespace heapledger {

double HitCosts::stopped() const {
  return seconds > 0 ? std::min(1.0, double(hits) * seconds_a_hit / seconds) : 0;
}

void HitMeter::begin(Time now, bool returns) {
  begun_ = now;
  ++hits_;
  if (!running_) return;
  active_ += seconds(ended_, now);
  if (!returns) return;
  between_ += seconds(ended_, now);
  ++gaps_;
}

void HitMeter::end(Time now) {
  active_ += seconds(begun_, now);
  visits_ += seconds(begun_, now);
  ended_ = now;
  running_ = true;
}

HitCosts HitMeter::costs() const {
  HitCosts costs{hits_, active_, 0};
  if (hits_ != 0) costs.seconds_a_hit = visits_ / double(hits_);
  if (gaps_ != 0) costs.seconds_a_hit += between_ / double(gaps_);
  return costs;
}

}  // namespace heapledger
