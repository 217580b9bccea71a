// SPDX-License-Identifier: Apache-2.0
//
// The time stamp counter of this machine in milliseconds. The agent stamps with it because reading
// a clock needs the vdso; what a tick is worth is measured here, against CLOCK_MONOTONIC_RAW, over
// all the time since this library was loaded (at least 10 ms: an error below 1 in 10,000). Source
// of the assumption that it ticks steadily and alike on every core: Intel SDM 17.17, AMD APM 13.2.4
// (invariant TSC).
#pragma once

#include <cstdint>

namespace heapledger {

std::uint64_t tsc_now();
double tsc_ms_per_cycle();  // waits until 10 ms have passed since load; never 0

}  // namespace heapledger
