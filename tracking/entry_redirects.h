// SPDX-License-Identifier: Apache-2.0
//
// Hooks of functions whose entry cannot be patched (too short, a branch back into it): a breakpoint in
// the place of the jump. At a hit the thread is sent to the same entry stub a jump would lead to, so
// the agent records the call as any other. What stands for the displaced instructions is
//
//   trampoline   movabs $trampoline,%r11 ; jmp *function(%rip)
//
// and the thread hits the breakpoint again, known by r11 and by what is pending for it. Two hits a
// call: slow, but nothing is missed.
#pragma once

#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "tracking/island.h"
#include "tracking/patcher.h"

namespace heapledger {

class EntryRedirects final : private WatchVisitor {
 public:
  explicit EntryRedirects(TargetControl& control) : control_(control), islands_(control) {}
  ~EntryRedirects() override { stop(); }

  Result<void> install(const HookRequest& request);
  // Breakpoints out; threads that are on their way run on.
  void stop() { forget({0, ~Address{0}}); }
  void forget(AddressRange module_range);
  // The process is gone or was replaced.
  void forget_all();

  const std::vector<std::unique_ptr<InstalledHook>>& installed() const { return installed_; }
  std::vector<AddressRange> islands() const { return islands_.ranges(); }

 private:
  void reached(const WatchedStop& stop) override;

  TargetControl& control_;
  Islands islands_;
  std::vector<std::unique_ptr<InstalledHook>> installed_;
  std::set<std::pair<std::uint64_t, Address>> pending_;  // thread, function: on the way to the real one
};

}  // namespace heapledger
