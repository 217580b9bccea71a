// SPDX-License-Identifier: Apache-2.0
//
// What tracking by breakpoints costs, measured while it runs. A hit takes the visitor's own time, which
// is seen, and the debugger's (stopping, stepping over the breakpoint), which is not. But between the
// hit at a function's entry and the next one, where the same call returns, the program only runs the
// allocator, some 100 ns: the time between the two visits is the debugger's.
//
// Rates are of the time from the first to the last hit of each run: what the user waited at a prompt is
// not counted, and a program that makes no calls costs nothing.
#pragma once

#include <chrono>
#include <cstdint>

namespace heapledger {

struct HitCosts {
  std::uint64_t hits = 0;
  double seconds = 0;        // between hits of the same run
  double seconds_a_hit = 0;  // that the program stood still
  // Hits a second, and the share of time the program stood still, 0 to 1. Both 0 before the second hit.
  double rate() const { return seconds > 0 ? double(hits) / seconds : 0; }
  double stopped() const;
};

class HitMeter {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // A visit begins; `returns`: it is the return of the call whose entry was the last visit.
  void begin(Time now, bool returns);
  void end(Time now);
  // The program stopped for the user, or is about to go on.
  void pause() { running_ = false; }

  HitCosts costs() const;

 private:
  static double seconds(Time from, Time to) {
    return std::chrono::duration<double>(to - from).count();
  }
  Time begun_{}, ended_{};
  bool running_ = false;  // since the last visit
  std::uint64_t hits_ = 0, gaps_ = 0;
  double active_ = 0, visits_ = 0, between_ = 0;  // seconds
};

}  // namespace heapledger
