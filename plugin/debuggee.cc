// SPDX-License-Identifier: Apache-2.0
#include "plugin/debuggee.h"

#include <algorithm>
#include <utility>

#include "commands/judgement.h"
#include "inferior/elf_file.h"
#include "plugin/entry.h"
#include "plugin/exit_code.h"
#include "plugin/own_breakpoints.h"
#include "plugin/sb_text.h"

namespace heapledger {

std::recursive_timed_mutex& plugin_lock() {
  static auto* lock = new std::recursive_timed_mutex;  // outlives LLDB's own threads at exit
  return *lock;
}

// In a callback LLDB's own ideas of the current thread and of the state may be another's.
struct Debuggee::InCallback {
  InCallback(Debuggee& debuggee_, lldb::SBThread thread) : debuggee(debuggee_) {
    debuggee.target_.enter_callback(thread);
  }
  ~InCallback() {
    debuggee.target_.leave_callback();
    debuggee.control_.goes_on();
  }
  Debuggee& debuggee;
};

Debuggee::Debuggee(lldb::SBTarget target)
    : target_(target),
      control_(target_),
      session_(target_, control_),
      life_(target_, session_,
            {.forget =
                 [this] {
                   control_.forget_process();
                   target_.forget_process();
                   if (loader_breakpoint_.IsValid()) sb().BreakpointDelete(loader_breakpoint_.GetID());
                   loader_breakpoint_ = lldb::SBBreakpoint();
                 },
             .note_modules = [this] { target_.history().note(target_.sb()); },
             .r_debug = [this] { return r_debug_by_symbol(); }}) {
  target_.origin = [this](CodeAddress address) { return session_.tracker().code_origin(address); };
  target_.own_module_name = [this](lldb::SBModule module) {
    return control_.announced().name_of(module);
  };
}

void Debuggee::follow_process() { life_.follow(target_.process().GetUniqueID()); }

bool Debuggee::command(lldb::SBDebugger debugger, const std::vector<std::string>& words,
                       lldb::SBCommandReturnObject& result) {
  note_command_thread(debugger);
  protect_breakpoints(sb());
  target_.console().begin_command(&result);
  follow_process();
  const CommandResult done = session_.run(words);
  target_.console().end_command();
  arm_exit_call();
  follow_loader();
  control_.end_stepping();
  if (done.exit_code) set_exit_code(debugger, *done.exit_code);
  if (!done.ok) {
    result.SetError(done.error.c_str());
    return false;
  }
  result.SetStatus(lldb::eReturnStatusSuccessFinishResult);
  return true;
}

void Debuggee::arm_exit_call() {
  if (!session_.wants_exit_call()) return;
  const Address stop = session_.exit_stop();
  // That of an earlier process went with the module it stood in, whose address the next one may have.
  const bool stands = stop == 0 || exit_breakpoint_.FindLocationByAddress(stop).IsValid();
  if (exit_breakpoint_.IsValid() && exit_stop_ == stop && stands) return;
  if (exit_breakpoint_.IsValid()) sb().BreakpointDelete(exit_breakpoint_.GetID());
  exit_breakpoint_ = make_exit_breakpoint(sb(), stop);
  exit_stop_ = stop;
}

void Debuggee::arm_late_loader() {
  if (loader_breakpoint_.IsValid()) return;
  const Address function = life_.loader_event_function();
  if (function != 0) loader_breakpoint_ = make_loader_breakpoint(sb(), function);
}

void Debuggee::follow_loader() {
  const bool attached = life_.has_process() && !life_.launched() &&
                        target_.kind() == ProcessKind::live_local;
  if (!attached) return arm_loader_events(sb());
  if (session_.tracker().active()) return arm_loader_events_only(sb());
  disarm_loader_events(sb());
}

Address Debuggee::r_debug_by_symbol() {
  lldb::SBSymbolContextList found = sb().FindSymbols("_r_debug", lldb::eSymbolTypeData);
  for (std::uint32_t i = 0; i < found.GetSize(); ++i) {
    lldb::SBAddress at = found.GetContextAtIndex(i).GetSymbol().GetStartAddress();
    const Address loaded = at.GetLoadAddress(sb());
    if (loaded != LLDB_INVALID_ADDRESS) return loaded;
  }
  return 0;
}

void Debuggee::loader_event(lldb::SBThread thread, const std::string& function) {
  const InCallback in(*this, thread);
  protect_breakpoints(sb());
  follow_process();
  target_.console().write(life_.loader_event(function));
  arm_exit_call();
  // A static program has no loader, and LLDB up to 16 learns of it late: there libc's start is needed,
  // also after exec.
  if (function.starts_with("__libc_start_main")) loader_is_late_ = true;
  if (loader_is_late_) {
    arm_late_loader();
  } else {
    disable_start_events(sb());
  }
  if (entry_breakpoint_.IsValid()) {
    sb().BreakpointDelete(entry_breakpoint_.GetID());
    entry_breakpoint_ = lldb::SBBreakpoint();
  }
}

void Debuggee::exit_call(lldb::SBThread thread) {
  const InCallback in(*this, thread);
  follow_process();
  if (!life_.exit_call_due()) return;
  lldb::SBFrame frame = thread.GetFrameAtIndex(0);
  const auto status = static_cast<int>(frame.FindRegister("rdi").GetValueAsUnsigned(0) & 0xff);
  std::optional<int> exit_code;
  target_.console().write(session_.on_exit_call(status, exit_code));
  if (exit_code) set_exit_code(sb().GetDebugger(), *exit_code);
}

void Debuggee::watched_address(lldb::SBThread thread, Address address) {
  const InCallback in(*this, thread);
  control_.watched().reached(thread, address);
}

void Debuggee::before_launch() {
  note_command_thread(sb().GetDebugger());
  arm_anew();
  // An earlier run's verdict says nothing about this one.
  if (session_.wants_exit_call()) set_exit_code(sb().GetDebugger(), kNeverJudged);
  if (entry_breakpoint_.IsValid()) return;
  const auto elf = ElfFile::open(target_.program_path());
  if (!elf || (*elf)->has_interpreter() || (*elf)->symbol("__libc_start_main")) return;
  entry_breakpoint_ = make_entry_breakpoint(sb(), (*elf)->entry());
}

void Debuggee::before_attach() {
  if (life_.has_process()) return;
  disarm_loader_events(sb());
  attaching_ = true;
}

void Debuggee::before_connect() { arm_anew(); }

// What an attached process had may lack a static program's start.
void Debuggee::arm_anew() {
  if (std::exchange(attaching_, false)) disarm_loader_events(sb());
  arm_loader_events(sb());
}

bool Debuggee::outlives_debugger() {
  follow_process();
  return life_.has_process() && target_.kind() == ProcessKind::live_local &&
         !launched_by_tracer(target_.pid());
}

void Debuggee::before_detach() {
  follow_process();
  if (session_.tracker().active() && target_.state() == ProcessState::running) {
    target_.process().Stop();
  }
  target_.console().write(life_.let_go());
}

void Debuggee::before_resume() {
  target_.console().write(life_.before_resume(Traps::in_memory));
  arm_exit_call();
}

Debuggees& Debuggees::instance() {
  static auto* all = new Debuggees;  // LLDB's objects are not touched by our static destructors
  return *all;
}

void Debuggees::drop_deleted() {
  std::erase_if(list_, [](const auto& one) { return !one->sb().IsValid(); });
}

Debuggee& Debuggees::of(lldb::SBTarget target) {
  drop_deleted();
  const auto found = std::find_if(list_.begin(), list_.end(),
                                  [&](const auto& one) { return one->sb() == target; });
  if (found != list_.end()) return **found;
  list_.push_back(std::make_unique<Debuggee>(target));
  return *list_.back();
}

std::vector<Debuggee*> Debuggees::all(lldb::SBDebugger debugger) {
  drop_deleted();
  std::vector<Debuggee*> result;
  for (const auto& one : list_) {
    if (one->sb().GetDebugger().GetID() == debugger.GetID()) result.push_back(one.get());
  }
  return result;
}

}  // namespace heapledger
