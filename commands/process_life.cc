// SPDX-License-Identifier: Apache-2.0
#include "commands/process_life.h"

#include <utility>

#include "agent/protocol.h"

namespace heapledger {

// After exec the kernel's random bytes are others. A program may write over them, so the agent,
// when there is one, is asked as well: no image of another program holds it.
bool ProcessLife::still_our_image() {
  if (session_.tracker().state_address() == 0) return false;
  const auto magic = target_.memory().read_value<std::uint64_t>(session_.tracker().state_address());
  return magic == agent::kMagic;
}

void ProcessLife::process_ended() {
  session_.on_process_gone();
  events_.forget();
  process_.reset();
  image_.reset();
}

void ProcessLife::follow(std::uint64_t identity) {
  const ProcessState state = target_.state();
  if (state != ProcessState::running && state != ProcessState::stopped) {
    if (process_) process_ended();
    return;
  }
  if (process_ != identity) {
    events_.forget();
    process_ = identity;
    image_.reset();
    loader_seen_ = exit_judged_ = false;
    // A debugger may not say whether its user launched or attached.
    launched_ = target_.kind() != ProcessKind::live_local || launched_by_tracer(target_.pid());
    session_.on_process(launched_);
  }
  if (state != ProcessState::stopped) return;
  events_.note_modules();
  if (target_.kind() != ProcessKind::live_local) return;
  const auto image = read_process_image(target_.pid(), target_.memory());
  if (!image || image_ == *image) return;
  const bool replaced = image_.has_value() && !still_our_image();
  image_ = *image;
  if (!replaced) return;
  events_.forget();
  events_.note_modules();
  loader_seen_ = exit_judged_ = false;
  launched_ = true;  // the new program is seen from its beginning
  session_.on_exec();
}

// The program's own DT_DEBUG; a program that was started by naming the loader has none, and of a
// remote one it is not known where it is: the loader's symbol is asked.
LoaderState ProcessLife::loader_state_now() {
  if (image_) {
    const LoaderState state = loader_state(*image_, target_.memory());
    if (state != LoaderState::unknown) return state;
  }
  const Address r_debug = events_.r_debug();
  return r_debug == 0 ? LoaderState::unknown : loader_state_at(r_debug, target_.memory());
}

Address ProcessLife::loader_event_function() const {
  return image_ ? heapledger::loader_event_function(*image_, target_.memory()) : 0;
}

std::string ProcessLife::loader_event(std::string_view function) {
  const bool program_starts = function.starts_with("__libc_start_main");
  // libc of a dynamic program calls it too, after the loader has told everything.
  if (loader_seen_ && program_starts) return "";
  const LoaderState loader = loader_state_now();
  if (loader == LoaderState::changing) return "";
  // A dynamic program that is first seen there: LLDB up to 16 learns of ld.so when the program
  // starts, after the constructors of its libraries.
  const bool late = !loader_seen_ && loader == LoaderState::consistent && program_starts;
  loader_seen_ = true;
  // A process that was attached to is tracked when the user says so.
  if (!launched_ && !session_.tracker().active()) return "";
  const bool tracked_before = session_.tracker().active();
  std::string told = session_.on_loader_event(!late);
  if (late && !tracked_before && session_.tracker().active()) {
    told += "heapledger: " + target_.debugger() +
            " tells of libraries late: what their constructors allocated is not recorded\n";
  }
  return told;
}

bool ProcessLife::exit_call_due() {
  return session_.wants_exit_call() && !std::exchange(exit_judged_, true);
}

std::string ProcessLife::let_go() {
  if (!process_ || target_.kind() != ProcessKind::live_local) return "";
  return target_.state() == ProcessState::stopped ? session_.on_let_go() : "";
}

std::string ProcessLife::before_resume(Traps traps) {
  if (!process_ || target_.state() != ProcessState::stopped) return "";
  return session_.on_resume(traps);
}

}  // namespace heapledger
