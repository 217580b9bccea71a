// SPDX-License-Identifier: Apache-2.0
#include "plugin/overrides.h"

#include <cctype>

#include "plugin/debuggee.h"
#include "plugin/entry.h"
#include "plugin/exit_code.h"
#include "plugin/liblldb.h"
#include "plugin/own_breakpoints.h"

namespace heapledger {
namespace {

// The baton is the debugger's id: a debugger object would keep it alive.
lldb::SBDebugger debugger_of(void* baton) {
  return lldb::SBDebugger::FindDebuggerWithID(int(reinterpret_cast<std::uintptr_t>(baton)));
}

// LLDB's own command follows.
template <void (Debuggee::*event)()>
bool before(void* baton, const char**) {
  enter([&] {
    lldb::SBTarget target = debugger_of(baton).GetSelectedTarget();
    if (target.IsValid()) (Debuggees::instance().of(target).*event)();
  });
  return false;
}

// A target that was made after loading has a copy of our breakpoint without its name's permissions.
bool before_breakpoint_command(void* baton, const char**) {
  enter([&] {
    lldb::SBTarget target = debugger_of(baton).GetSelectedTarget();
    if (target.IsValid()) protect_breakpoints(target);
  });
  return false;
}

void leave_processes(lldb::SBDebugger debugger) {
  for (Debuggee* debuggee : Debuggees::instance().all(debugger)) {
    if (debuggee->outlives_debugger()) debuggee->before_detach();
  }
}

bool before_quit(void* baton, const char** arguments) {
  if (is_nested_quit()) return false;
  enter([&] {
    leave_processes(debugger_of(baton));
    // Whether the command's own name is the first word depends on LLDB's version.
    bool has_code = false;
    for (; arguments != nullptr && *arguments != nullptr; ++arguments) {
      has_code = has_code || std::isdigit(static_cast<unsigned char>(**arguments)) != 0;
    }
    before_quit_command(debugger_of(baton), has_code);
  });
  return false;
}

void before_destroy(lldb::user_id_t debugger_id, void*) {
  enter([&] { leave_processes(lldb::SBDebugger::FindDebuggerWithID(int(debugger_id))); });
}

}  // namespace

void install_overrides(lldb::SBDebugger debugger) {
  lldb::SBCommandInterpreter interpreter = debugger.GetCommandInterpreter();
  void* baton = reinterpret_cast<void*>(std::uintptr_t(debugger.GetID()));
  const auto override = [&](const char* command, lldb::CommandOverrideCallback callback) {
    interpreter.SetCommandOverrideCallback(command, callback, baton);
  };
  override("process launch", before<&Debuggee::before_launch>);
  override("process attach", before<&Debuggee::before_attach>);
  override("process connect", before<&Debuggee::before_connect>);
  override("process detach", before<&Debuggee::before_detach>);
  override("quit", before_quit);
  for (const char* command : {"breakpoint list", "breakpoint delete", "breakpoint disable"}) {
    override(command, before_breakpoint_command);
  }
  for (const char* command :
       {"process continue", "thread continue", "thread step-in", "thread step-over",
        "thread step-out", "thread step-inst", "thread step-inst-over", "thread until"}) {
    override(command, before<&Debuggee::before_resume>);
  }
  // Input may also end without a quit. LLDB 14 to 18 have one slot for this or none.
  if (has("_ZN4lldb10SBDebugger18AddDestroyCallbackEPFvmPvES1_")) {
    debugger.AddDestroyCallback(before_destroy, nullptr);
  }
}

}  // namespace heapledger
