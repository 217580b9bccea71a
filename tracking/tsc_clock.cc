// SPDX-License-Identifier: Apache-2.0
#include "tracking/tsc_clock.h"

#include <time.h>
#include <x86intrin.h>

namespace heapledger {
namespace {

constexpr std::int64_t kBaseline = 10'000'000;  // ns

struct Instant {
  std::uint64_t cycles;
  std::int64_t nanoseconds;
};

Instant sample() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return {tsc_now(), std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec};
}

const Instant g_loaded = sample();

}  // namespace

std::uint64_t tsc_now() { return __rdtsc(); }

double tsc_ms_per_cycle() {
  Instant now = sample();
  while (now.nanoseconds - g_loaded.nanoseconds < kBaseline || now.cycles <= g_loaded.cycles) {
    const timespec rest{0, kBaseline};
    nanosleep(&rest, nullptr);
    now = sample();
  }
  return double(now.nanoseconds - g_loaded.nanoseconds) / 1e6 /
         double(now.cycles - g_loaded.cycles);
}

}  // namespace heapledger
