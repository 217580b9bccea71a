// SPDX-License-Identifier: Apache-2.0
//
// The end of a process, seen without a trap that outlives its debugger. A breakpoint at _exit stays there when
// the debugger is killed, and the process dies of it in the end. So _exit is hooked instead: its jump leads to
// code of ours (agent/exit_gate.S) with a place to stop at, where a trap does no harm.
#pragma once

#include <vector>

#include "inferior/modules.h"
#include "inferior/target.h"
#include "tracking/announcements.h"
#include "tracking/patcher.h"

namespace heapledger {

class ExitGate {
 public:
  ExitGate(Target& target, TargetControl& control)
      : target_(target), control_(control), patcher_(target, control), announcements_(target, control) {}

  // All threads stopped. Hooks every function that ends the process (event_places.h), as long as there is
  // one, or, with an Error that says why, none.
  Result<void> open();
  // Where the debugger has to stop the process; 0: not open.
  Address stop() const { return patcher_.installed().empty() ? 0 : stop_; }
  // A breakpoint was set since inside the bytes of a jump: close it before the process runs on.
  bool under_breakpoint(Traps traps) const { return !patcher_.under_breakpoints(traps).empty(); }
  // Every byte is as it was; a thread that is inside runs on.
  Result<void> close() { return patcher_.remove_all(); }
  // The process is gone or was replaced by exec.
  void forget();

  // What a debugger that was killed has left of such hooks is taken out. How many there were.
  Result<std::size_t> remove_left();

  // Ours in the process. Never a root.
  std::vector<AddressRange> memory() const;

 private:
  Result<std::vector<Module>> modules();
  Result<void> bring_code_in();
  Result<std::size_t> remove_left(const std::vector<HookRequest>& functions);

  Target& target_;
  TargetControl& control_;
  Patcher patcher_;
  Announcements announcements_;
  AddressRange image_;  // stays mapped when the gate is closed
  Address stop_ = 0;
};

}  // namespace heapledger
