// SPDX-License-Identifier: Apache-2.0
//
// A Ledger made of what the debugger recorded itself (CallRecorder), so that every command answers as
// it does from the agent's memory. Times are milliseconds since tracking began.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tracking/ledger.h"
#include "tracking/mapping_replay.h"

namespace heapledger {

class LedgerBuilder {
 public:
  // Any order; no two overlap.
  void heap_block(const Allocation& allocation) { ledger_.recorded_.push_back(allocation); }
  // What the program did to its mappings; `made_by` has the allocation of each event that maps.
  void mappings(std::vector<MappingEvent> events, std::vector<Allocation> made_by);
  void stacks(std::span<const agent::Node> nodes);
  // By Allocation::thread; the first one is "unknown".
  void threads(std::span<const std::uint32_t> tids);
  void counters(const LedgerCounters& counters) { ledger_.counters_ = counters; }
  void now(std::uint64_t milliseconds);

  Ledger build();

 private:
  Ledger ledger_;
  std::vector<MappingEvent> events_;
  std::vector<Allocation> made_by_;
};

}  // namespace heapledger
