// SPDX-License-Identifier: Apache-2.0
//
// The fallback tracker: a breakpoint at every entry point and one wherever their calls return to. A
// thousand times slower than the hooks (design: ARCHITECTURE.md), but it needs nothing in the inferior:
// it works on remote processes and where code cannot be patched.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "inferior/target.h"
#include "tracking/call_recorder.h"
#include "tracking/code_map.h"
#include "tracking/hit_meter.h"
#include "tracking/patcher.h"

namespace heapledger {

class BreakpointTracker final : private WatchVisitor, private CallWorld {
 public:
  // `code` outlives the tracker and is kept up to date by its owner.
  BreakpointTracker(Target& target, TargetControl& control, const CodeMap& code, bool stacks);
  ~BreakpointTracker() override;

  // One that is watched already (an alias) is left as it is.
  Result<void> watch(const HookRequest& request);
  // A module was unloaded: its code is no longer there.
  void forget(AddressRange module_range);
  // No more breakpoints; the ledger stays.
  void stop();

  Ledger ledger();
  HitCosts costs() const { return meter_.costs(); }
  // The user sees a stop, or lets the process go on.
  void pause() { meter_.pause(); }

 private:
  struct Entry {
    agent::Kind kind;
    agent::Shape shape;
  };

  void reached(const WatchedStop& stop) override;
  void watch_return(Address back, std::uint64_t tid);
  void unwatch_in(AddressRange range);

  const Memory& memory() override { return target_.memory(); }
  std::vector<CodeAddress> call_stack(std::uint64_t tid) override;
  std::uint64_t mapping_size(Address begin) override;
  std::uint64_t milliseconds() override;

  Target& target_;
  TargetControl& control_;
  const CodeMap& code_;
  CallRecorder recorder_;
  HitMeter meter_;
  std::chrono::steady_clock::time_point start_;
  std::unordered_map<Address, Entry> entries_;
  std::unordered_set<Address> returns_;
  Address expected_ = 0;  // where the call returns whose entry was the last visit
  std::uint64_t expected_tid_ = 0;
};

}  // namespace heapledger
