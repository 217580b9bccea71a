// SPDX-License-Identifier: Apache-2.0
#include "python/gdb_debuggee.h"

#include <algorithm>
#include <stdexcept>

#include "commands/judgement.h"
#include "commands/words.h"
#include "python/exit_status.h"
#include "tracking/event_places.h"

namespace heapledger {
namespace {

// In a breakpoint's callback gdb says of every thread that it runs.
struct InCallback {
  explicit InCallback(GdbTarget& target_) : target(target_) { target.in_callback = true; }
  ~InCallback() { target.in_callback = false; }
  GdbTarget& target;
};

struct InCommand {
  explicit InCommand(GdbTarget& target_) : target(target_) { target.begin_command(); }
  ~InCommand() {
    target.end_command();
    target.capture = nullptr;
  }
  GdbTarget& target;
};

}  // namespace

GdbDebuggee::GdbDebuggee(py::object debugger)
    : target_(std::move(debugger)),
      control_(target_),
      session_(target_, control_),
      life_(target_, session_,
            {.forget =
                 [this] {
                   control_.forget_process();
                   loader_.clear();
                   exit_.clear();
                 },
             .note_modules = [] {},
             .r_debug = [this] { return r_debug_by_symbol(); }}) {
  target_.origin = [this](CodeAddress address) { return session_.tracker().code_origin(address); };
}

std::uint64_t GdbDebuggee::identity() {
  const auto number = ask([&] { return target_.python().attr("identity")(); });
  return number ? number->cast<std::uint64_t>() : 0;
}

void GdbDebuggee::follow() {
  const std::uint64_t now = identity();
  life_.follow(now);
  if (now == known_ || now == 0) return;
  known_ = now;
  // An earlier run's verdict says nothing about this one.
  if (session_.wants_exit_call()) set_exit_status(kNeverJudged);
}

Address GdbDebuggee::r_debug_by_symbol() {
  for (const Module& module : target_.modules()) {
    const auto symbol = module.elf ? module.elf->symbol("_r_debug") : std::nullopt;
    if (symbol) return module.bias + symbol->value;
  }
  return 0;
}

void GdbDebuggee::run(const std::vector<std::string>& words) {
  const InCommand in(target_);
  follow();
  const CommandResult done = session_.run(words);
  if (done.exit_code) set_exit_status(*done.exit_code);
  if (!done.ok) throw std::runtime_error(done.error);
}

void GdbDebuggee::command(const std::string& line) { run(split_words(line)); }

std::string GdbDebuggee::query(const std::vector<std::string>& words) {
  std::string text;
  target_.capture = [&](std::string_view piece) { text += piece; };
  run(words);
  return text;
}

std::vector<GdbDebuggee::Place> GdbDebuggee::places() {
  follow();
  std::vector<Place> result;
  // Of a remote process nothing is known but what it has mapped.
  const bool remote = target_.kind() == ProcessKind::live_remote;
  if (!life_.has_process() || (!life_.image() && !remote)) return result;
  const bool follow_loader =
      (life_.launched() && session_.armed()) || session_.tracker().active();
  const bool follow_exit = session_.wants_exit_call();
  // Found once for a process image: reading its modules at every library would be slow.
  const Address stop = session_.exit_stop();
  const bool needs_exit = follow_exit && stop == 0 && exit_.empty();
  if ((follow_loader && loader_.empty()) || needs_exit) target_.forget_modules();
  if (follow_loader && loader_.empty()) {
    loader_ = loader_places(target_.modules(), life_.image() ? life_.image()->entry : 0);
  }
  if (needs_exit) exit_ = exit_places(target_.modules());
  if (follow_loader) {
    for (const EventPlace& p : loader_) {
      // Of a program that was attached to it is over.
      if (!life_.launched() && p.function == "__libc_start_main") continue;
      result.emplace_back("loader", p.function, p.address);
    }
  }
  if (follow_exit && stop != 0) {
    result.emplace_back("exit", "_exit", stop);
  } else if (follow_exit) {
    for (const EventPlace& p : exit_) result.emplace_back("exit", p.function, p.address);
  }
  return result;
}

std::vector<GdbDebuggee::Place> GdbDebuggee::new_file() {
  const InCallback in(target_);
  return places();
}

void GdbDebuggee::loader_event(const std::string& function) {
  const InCallback in(target_);
  follow();
  target_.out(life_.loader_event(function));
}

void GdbDebuggee::watched(Address address) {
  const InCallback in(target_);
  control_.reached(address);
}

void GdbDebuggee::exit_call() {
  follow();
  if (!life_.exit_call_due()) return;
  const InCommand in(target_);
  const auto threads = target_.threads();
  const auto selected = ask([&] { return target_.python().attr("selected_tid")(); });
  int status = 0;
  for (const ThreadState& thread : threads) {
    constexpr std::size_t kRdi = 5;
    if (selected && thread.tid == selected->cast<std::uint64_t>()) {
      status = int(thread.general[kRdi] & 0xff);
    }
  }
  std::optional<int> exit_code;
  target_.out(session_.on_exit_call(status, exit_code));
  if (exit_code) set_exit_status(*exit_code);
}

void GdbDebuggee::stopped() {
  follow();
  control_.stopped();
  session_.on_stop();
  if (session_.tracker().waits_for_stop()) target_.out(session_.on_loader_event(true));
}

void GdbDebuggee::breakpoint_set() {
  if (!life_.has_process() || !control_.all_stopped()) return;
  target_.out(life_.before_resume(Traps::listed));
}

void GdbDebuggee::let_go() {
  follow();
  const bool hooked = session_.tracker().active() || session_.exit_stop() != 0;
  if (hooked && target_.state() == ProcessState::running) {
    target_.out("heapledger: the process is running: its hooks stay in (interrupt it and `leaks stop` "
                "first)\n");
    return;
  }
  target_.out(life_.let_go());
}

}  // namespace heapledger
