// SPDX-License-Identifier: Apache-2.0
//
// The plugin's state in one LLDB process: a Session per SBTarget, and LLDB's events led to it.
//
// LLDB calls from several threads (commands on the main thread, breakpoint callbacks on a terminal on
// the event thread), so everything goes through one recursive lock: a command may launch a process
// whose callback comes back here.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "commands/session.h"
#include "plugin/lldb_control.h"
#include "plugin/lldb_target.h"

namespace heapledger::plugin {

// One SBTarget with everything the project knows of it.
struct TargetSession {
  TargetSession(lldb::SBDebugger debugger, lldb::SBTarget target);

  LldbTarget access;
  LldbControl control;
  Session session;
  std::uint32_t process = 0;           // SBProcess::GetUniqueID of the one the session follows
  lldb::SBBreakpoint exit_breakpoint;  // on _exit, when leaks at-exit was given
};

class Host {
 public:
  static Host& instance();

  void add_debugger(lldb::SBDebugger debugger);
  // The session of the selected target; of the dummy target when there is none.
  TargetSession& selected(lldb::SBDebugger debugger);
  TargetSession& of(lldb::SBDebugger debugger, lldb::SBTarget target);
  // Tells the session what became of its process since it last looked.
  void follow_process(TargetSession& ts);
  // After a command: breakpoints the session now wants.
  void keep_armed(TargetSession& ts);

  // Events.
  void on_loader_event(lldb::SBProcess& process, lldb::SBThread& thread);
  void on_exit_call(lldb::SBProcess& process, lldb::SBThread& thread);
  void before_launch(lldb::SBDebugger debugger);
  void before_detach(lldb::SBDebugger debugger);

  std::recursive_mutex& lock() { return lock_; }
  // Was the last command given in synchronous mode (batch)? A nested `quit` is only safe there.
  bool synchronous = false;

 private:
  void arm(lldb::SBTarget target);
  void arm_entry(lldb::SBTarget target);

  std::recursive_mutex lock_;
  std::vector<lldb::SBDebugger> debuggers_;
  std::vector<std::unique_ptr<TargetSession>> sessions_;
};

// Makes `code` the exit code of LLDB itself; the commands that remain still run.
void set_exit_code(lldb::SBDebugger debugger, int code);

}  // namespace heapledger::plugin
