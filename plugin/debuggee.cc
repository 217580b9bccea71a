// SPDX-License-Identifier: Apache-2.0
#include "plugin/debuggee.h"

#include <algorithm>

#include "agent/protocol.h"
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
  ~InCallback() { debuggee.target_.leave_callback(); }
  Debuggee& debuggee;
};

Debuggee::Debuggee(lldb::SBTarget target)
    : target_(target), control_(target_), session_(target_, control_) {
  target_.origin = [this](CodeAddress address) { return session_.tracker().code_origin(address); };
  target_.own_module_name = [this](lldb::SBModule module) {
    return control_.announced().name_of(module);
  };
}

// After exec the kernel's random bytes are others. A program may write over them, so the agent,
// when there is one, is asked as well: no image of another program holds it.
bool Debuggee::still_our_image() {
  if (!session_.tracker().has_ledger()) return false;
  const auto magic = target_.memory().read_value<std::uint64_t>(session_.tracker().state_address());
  return magic == agent::kMagic;
}

void Debuggee::process_ended() {
  session_.on_process_gone();
  control_.forget_process();
  process_.reset();
  image_.reset();
}

void Debuggee::follow_process() {
  const ProcessState state = target_.state();
  if (state != ProcessState::running && state != ProcessState::stopped) {
    if (process_) process_ended();
    return;
  }
  const std::uint32_t process = target_.process().GetUniqueID();
  const bool is_new = process_ != process;
  if (is_new) {
    control_.forget_process();
    target_.history().clear();
    process_ = process;
    image_.reset();
    loader_seen_ = exit_judged_ = false;
    launched_ = launched_by_tracer(target_.pid());
    session_.on_launch();
  }
  if (state != ProcessState::stopped) return;
  target_.history().note(target_.sb());
  if (target_.kind() != ProcessKind::live_local) return;
  const auto image = read_process_image(target_.pid(), target_.memory());
  if (!image || image_ == *image) return;
  const bool replaced = image_.has_value() && !still_our_image();
  image_ = *image;
  if (!replaced) return;
  control_.forget_process();
  target_.history().clear();
  target_.history().note(target_.sb());
  loader_seen_ = exit_judged_ = false;
  launched_ = true;  // the new program is seen from its beginning
  session_.on_exec();
}

bool Debuggee::command(lldb::SBDebugger debugger, const std::vector<std::string>& words,
                       lldb::SBCommandReturnObject& result) {
  note_command_thread(debugger);
  protect_breakpoints(sb());
  target_.console().begin_command(&result);
  follow_process();
  const CommandResult done = session_.run(words);
  target_.console().end_command();
  arm_exit_call();
  if (done.exit_code) set_exit_code(debugger, *done.exit_code);
  if (!done.ok) {
    result.SetError(done.error.c_str());
    return false;
  }
  result.SetStatus(lldb::eReturnStatusSuccessFinishResult);
  return true;
}

void Debuggee::arm_exit_call() {
  if (!session_.wants_exit_call() || exit_breakpoint_.IsValid()) return;
  exit_breakpoint_ = make_exit_breakpoint(sb());
}

// The program's own DT_DEBUG; a program that was started by naming the loader has none, and the
// loader's symbol is asked.
LoaderState Debuggee::loader_state_now() {
  const LoaderState state = loader_state(*image_, target_.memory());
  if (state != LoaderState::unknown) return state;
  lldb::SBSymbolContextList found = sb().FindSymbols("_r_debug", lldb::eSymbolTypeData);
  for (std::uint32_t i = 0; i < found.GetSize(); ++i) {
    lldb::SBAddress at = found.GetContextAtIndex(i).GetSymbol().GetStartAddress();
    const Address loaded = at.GetLoadAddress(sb());
    if (loaded != LLDB_INVALID_ADDRESS) return loader_state_at(loaded, target_.memory());
  }
  return LoaderState::unknown;
}

void Debuggee::loader_event(lldb::SBThread thread, const std::string& function) {
  const InCallback in(*this, thread);
  protect_breakpoints(sb());
  follow_process();
  // libc of a dynamic program calls it too, after the loader has told everything.
  if (loader_seen_ && function.starts_with("__libc_start_main")) return;
  if (entry_breakpoint_.IsValid()) {
    sb().BreakpointDelete(entry_breakpoint_.GetID());
    entry_breakpoint_ = lldb::SBBreakpoint();
  }
  const LoaderState loader = image_ ? loader_state_now() : LoaderState::unknown;
  if (loader == LoaderState::changing) return;
  // A dynamic program that is first seen there: LLDB up to 16 learns of ld.so when the program
  // starts, after the constructors of its libraries.
  const bool late = !loader_seen_ && loader == LoaderState::consistent &&
                    function.starts_with("__libc_start_main");
  loader_seen_ = true;
  // A process that was attached to is tracked when the user says so.
  if (!launched_ && target_.kind() == ProcessKind::live_local && !session_.tracker().active())
    return;
  const bool tracked_before = session_.tracker().active();
  target_.console().write(session_.on_loader_event(!late));
  if (late && !tracked_before && session_.tracker().active()) {
    target_.console().write("heapledger: " + target_.debugger() +
                            " tells of libraries late: what their constructors allocated is not "
                            "recorded\n");
  }
}

void Debuggee::exit_call(lldb::SBThread thread) {
  const InCallback in(*this, thread);
  follow_process();
  if (!session_.wants_exit_call() || std::exchange(exit_judged_, true)) return;
  lldb::SBFrame frame = thread.GetFrameAtIndex(0);
  const auto status = static_cast<int>(frame.FindRegister("rdi").GetValueAsUnsigned(0) & 0xff);
  std::optional<int> exit_code;
  target_.console().write(session_.on_exit_call(status, exit_code));
  if (exit_code) set_exit_code(sb().GetDebugger(), *exit_code);
}

void Debuggee::before_launch() {
  note_command_thread(sb().GetDebugger());
  // An earlier run's verdict says nothing about this one.
  if (session_.wants_exit_call()) set_exit_code(sb().GetDebugger(), kNeverJudged);
  if (entry_breakpoint_.IsValid()) return;
  const auto elf = ElfFile::open(target_.program_path());
  if (!elf || (*elf)->has_interpreter() || (*elf)->symbol("__libc_start_main")) return;
  entry_breakpoint_ = make_entry_breakpoint(sb(), (*elf)->entry());
}

bool Debuggee::outlives_debugger() {
  follow_process();
  return process_ && target_.kind() == ProcessKind::live_local &&
         !launched_by_tracer(target_.pid());
}

void Debuggee::before_detach() {
  follow_process();
  if (!process_ || target_.kind() != ProcessKind::live_local) return;
  if (!session_.tracker().active()) return;
  if (target_.state() == ProcessState::running) target_.process().Stop();
  if (target_.state() != ProcessState::stopped) return;
  if (const auto stopped = session_.tracker().stop(); !stopped) {
    target_.console().write("heapledger: " + stopped.error().message + "\n");
  }
}

void Debuggee::before_resume() {
  if (!process_ || target_.state() != ProcessState::stopped) return;
  for (const std::string& name : session_.tracker().unhook_under_breakpoints()) {
    target_.console().write("heapledger: a breakpoint stands inside the entry of " + name +
                            ": it is unhooked, and its calls are missed from now on\n");
  }
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
