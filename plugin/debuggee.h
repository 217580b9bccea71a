// SPDX-License-Identifier: Apache-2.0
//
// A program in LLDB (an SBTarget) with its session, and what has to happen to the session when
// something happens to the program.
#pragma once

#include <lldb/API/LLDB.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands/process_life.h"
#include "commands/session.h"
#include "plugin/lldb_control.h"
#include "plugin/lldb_target.h"

namespace heapledger {

class Debuggee {
 public:
  explicit Debuggee(lldb::SBTarget target);

  lldb::SBTarget& sb() { return target_.sb(); }

  // The user's words. True when the command succeeded.
  bool command(lldb::SBDebugger debugger, const std::vector<std::string>& words,
               lldb::SBCommandReturnObject& result);

  // Breakpoints of ours were hit by `thread`.
  void loader_event(lldb::SBThread thread, const std::string& function);
  void exit_call(lldb::SBThread thread);
  void watched_address(lldb::SBThread thread, Address address);

  // `process launch` is about to run: a static program without symbols has no function to stop at.
  void before_launch();
  // `process attach` is about to run, `process connect`.
  void before_attach();
  void before_connect();
  // The debugger is about to let the process go, which lives on: hooks out. Interrupts it if
  // needed.
  void before_detach();
  void before_resume();
  // Whether the process lives on when the debugger ends.
  bool outlives_debugger();

 private:
  struct InCallback;

  // Tells the session of a new process, an exec, or an end since the last look.
  void follow_process();
  void arm_exit_call();
  void arm_late_loader();
  // No trap of ours at the loader's event of a process that was attached to and is not tracked.
  void follow_loader();
  void arm_anew();
  Address r_debug_by_symbol();

  LldbTarget target_;
  LldbControl control_;
  Session session_;
  ProcessLife life_;
  lldb::SBBreakpoint exit_breakpoint_;
  Address exit_stop_ = 0;  // where it stands; 0: at _exit, by name
  bool loader_is_late_ = false;
  lldb::SBBreakpoint loader_breakpoint_;  // where the loader is late
  bool attaching_ = false;  // the last process, or the one to come
  lldb::SBBreakpoint entry_breakpoint_;
};

// All of them. Callbacks come on LLDB's event thread on a terminal, commands on the main thread:
// every entry into the plugin holds the lock.
class Debuggees {
 public:
  static Debuggees& instance();

  // The one of that target, made when it is asked for first; those whose target is gone are
  // dropped.
  Debuggee& of(lldb::SBTarget target);
  std::vector<Debuggee*> all(lldb::SBDebugger debugger);

 private:
  void drop_deleted();
  std::vector<std::unique_ptr<Debuggee>> list_;
};

}  // namespace heapledger
