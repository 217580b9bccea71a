// SPDX-License-Identifier: Apache-2.0
#include "plugin/host.h"

#include <algorithm>

#include "agent/protocol.h"
#include "inferior/elf_file.h"
#include "plugin/loader_state.h"

namespace heapledger::plugin {
namespace {

constexpr const char* kName = "heapledger";

// No exception of ours may reach LLDB: it would end the debugger.
template <typename F>
void guarded(F f) {
  try {
    f();
  } catch (...) {
  }
}

bool loader_callback(void*, lldb::SBProcess& process, lldb::SBThread& thread,
                     lldb::SBBreakpointLocation&) {
  guarded([&] { Host::instance().on_loader_event(process, thread); });
  return false;  // go on
}

bool exit_callback(void*, lldb::SBProcess& process, lldb::SBThread& thread,
                   lldb::SBBreakpointLocation&) {
  guarded([&] { Host::instance().on_exit_call(process, thread); });
  return false;
}

// Hidden from `breakpoint list` and safe from `breakpoint delete`. A name's permissions belong to one
// target, so they are set in each.
void make_ours(lldb::SBTarget target, lldb::SBBreakpoint breakpoint) {
  lldb::SBBreakpointName name(target, kName);
  name.SetAllowList(false);
  name.SetAllowDelete(false);
  name.SetAllowDisable(false);
  breakpoint.AddName(kName);
}

bool is_armed(lldb::SBTarget target) {
  for (std::uint32_t i = 0; i < target.GetNumBreakpoints(); ++i) {
    if (target.GetBreakpointAtIndex(i).MatchesName(kName)) return true;
  }
  return false;
}

// The image was replaced by exec: our memory is gone from a process that is still the same one.
bool was_replaced(TargetSession& ts) {
  Address state = ts.session.tracker().state_address();
  if (state == 0) return false;
  auto magic = ts.access.memory().read_value<std::uint64_t>(state);
  return !magic || *magic != agent::kMagic;
}

lldb::SBDebugger debugger_of(lldb::SBProcess& process) { return process.GetTarget().GetDebugger(); }

}  // namespace

TargetSession::TargetSession(lldb::SBDebugger debugger, lldb::SBTarget target)
    : access(debugger, target), control(access), session(access, control) {
  access.symbols().origin = [this](CodeAddress a) { return session.tracker().code_origin(a); };
}

Host& Host::instance() {
  static Host* host = new Host;  // never destroyed: LLDB may call until the process ends
  return *host;
}

// Breakpoints of the dummy target are copied, with their callbacks, into every later target.
void Host::arm(lldb::SBTarget target) {
  if (is_armed(target)) return;
  const char* names[] = {"_dl_debug_state", "__libc_start_main"};
  lldb::SBBreakpoint breakpoint = target.BreakpointCreateByNames(
      names, 2, lldb::eFunctionNameTypeFull, lldb::SBFileSpecList(), lldb::SBFileSpecList());
  breakpoint.SetCallback(loader_callback, nullptr);
  make_ours(target, breakpoint);
}

void Host::add_debugger(lldb::SBDebugger debugger) {
  std::lock_guard guard(lock_);
  auto same = [&](lldb::SBDebugger& d) { return d.GetID() == debugger.GetID(); };
  if (std::none_of(debuggers_.begin(), debuggers_.end(), same)) debuggers_.push_back(debugger);
  arm(debugger.GetDummyTarget());
  for (std::uint32_t i = 0; i < debugger.GetNumTargets(); ++i) arm(debugger.GetTargetAtIndex(i));
}

TargetSession& Host::of(lldb::SBDebugger debugger, lldb::SBTarget target) {
  std::lock_guard guard(lock_);
  std::erase_if(sessions_, [](auto& ts) { return !ts->access.sb().IsValid(); });
  for (auto& ts : sessions_) {
    if (ts->access.sb() == target) return *ts;
  }
  sessions_.push_back(std::make_unique<TargetSession>(debugger, target));
  return *sessions_.back();
}

TargetSession& Host::selected(lldb::SBDebugger debugger) {
  lldb::SBTarget target = debugger.GetSelectedTarget();
  return of(debugger, target.IsValid() ? target : debugger.GetDummyTarget());
}

void Host::follow_process(TargetSession& ts) {
  lldb::SBProcess process = ts.access.process();
  std::uint32_t now = process.IsValid() ? process.GetUniqueID() : 0;
  ProcessState state = ts.access.state();
  bool gone = state == ProcessState::none || state == ProcessState::exited;
  if (ts.process != 0 && (gone || now != ts.process)) {
    ts.access.out(ts.session.on_process_gone());
    ts.control.forget();
    ts.process = 0;
  }
  if (!gone && ts.process == 0) {
    ts.process = now;
    ts.access.out(ts.session.on_launch());
  } else if (state == ProcessState::stopped && was_replaced(ts)) {
    ts.access.out(ts.session.on_exec());
    ts.control.forget();
  }
}

void Host::keep_armed(TargetSession& ts) {
  if (!ts.session.wants_exit_call() || ts.exit_breakpoint.IsValid()) return;
  ts.exit_breakpoint = ts.access.sb().BreakpointCreateByName("_exit");
  ts.exit_breakpoint.SetCallback(exit_callback, nullptr);
  make_ours(ts.access.sb(), ts.exit_breakpoint);
}

void Host::on_loader_event(lldb::SBProcess& process, lldb::SBThread& thread) {
  std::lock_guard guard(lock_);
  TargetSession& ts = of(debugger_of(process), process.GetTarget());
  follow_process(ts);
  bool start_main = std::string_view(thread.GetFrameAtIndex(0).GetFunctionName() == nullptr
                                         ? ""
                                         : thread.GetFrameAtIndex(0).GetFunctionName())
                        .find("libc_start_main") != std::string_view::npos;
  if (start_main && ts.session.tracker().active()) return;  // the loader's event came before
  if (ts.access.kind() == ProcessKind::live_local &&
      !loader_is_consistent(ts.access.pid(), ts.access.memory())) {
    return;
  }
  ts.access.symbols().remember_modules();
  ts.access.out(ts.session.on_loader_event());
  keep_armed(ts);
}

void Host::on_exit_call(lldb::SBProcess& process, lldb::SBThread& thread) {
  std::lock_guard guard(lock_);
  TargetSession& ts = of(debugger_of(process), process.GetTarget());
  follow_process(ts);
  int status = int(thread.GetFrameAtIndex(0).FindRegister("rdi").GetValueAsUnsigned(0) & 0xff);
  std::optional<int> code;
  ts.access.out(ts.session.on_exit_call(status, code));
  if (code && synchronous) set_exit_code(debugger_of(process), *code);
}

// A static program without symbols has no function the armed breakpoint could be on. It is caught
// behind its first instruction: at the entry point itself it already stands when it is launched.
void Host::arm_entry(lldb::SBTarget target) {
  char path[4096];
  if (!target.GetExecutable().IsValid() || target.GetExecutable().GetPath(path, sizeof path) == 0) return;
  auto elf = ElfFile::open(path);
  if (!elf || (*elf)->has_interpreter() || !(*elf)->functions("__libc_start_main").empty()) return;
  lldb::SBModule program = target.FindModule(target.GetExecutable());
  lldb::SBAddress entry = program.ResolveFileAddress((*elf)->entry());
  lldb::SBInstructionList first = target.ReadInstructions(entry, 1);
  if (first.GetSize() != 1) return;
  entry.OffsetAddress(first.GetInstructionAtIndex(0).GetByteSize());
  for (std::uint32_t i = 0; i < target.GetNumBreakpoints(); ++i) {
    lldb::SBBreakpoint b = target.GetBreakpointAtIndex(i);
    if (b.MatchesName(kName) && b.GetNumLocations() == 1 &&
        b.GetLocationAtIndex(0).GetAddress() == entry) {
      return;
    }
  }
  lldb::SBBreakpoint breakpoint = target.BreakpointCreateBySBAddress(entry);
  breakpoint.SetCallback(loader_callback, nullptr);
  make_ours(target, breakpoint);
}

void Host::before_launch(lldb::SBDebugger debugger) {
  std::lock_guard guard(lock_);
  lldb::SBTarget target = debugger.GetSelectedTarget();
  if (!target.IsValid()) return;
  arm_entry(target);
  keep_armed(of(debugger, target));
}

void Host::before_detach(lldb::SBDebugger debugger) {
  std::lock_guard guard(lock_);
  TargetSession& ts = selected(debugger);
  if (ts.access.state() != ProcessState::stopped || !ts.session.tracker().active()) return;
  if (auto done = ts.session.tracker().stop(); !done) {
    ts.access.out("heapledger: " + done.error().message + "\n");
  }
}

void set_exit_code(lldb::SBDebugger debugger, int code) {
  lldb::SBCommandInterpreter interpreter = debugger.GetCommandInterpreter();
  bool prompts = interpreter.GetPromptOnQuit();
  interpreter.SetPromptOnQuit(false);  // its question would eat the next commands
  interpreter.AllowExitCodeOnQuit(true);
  lldb::SBCommandReturnObject result;
  interpreter.HandleCommand(("quit " + std::to_string(code)).c_str(), result);
  interpreter.SetPromptOnQuit(prompts);
}

}  // namespace heapledger::plugin
