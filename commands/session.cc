// SPDX-License-Identifier: Apache-2.0
//
// Words go to the table of commands, events to tracking.
#include "commands/session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <new>

#include "commands/completion.h"
#include "commands/context.h"
#include "commands/dispatch.h"
#include "commands/exit_report.h"
#include "commands/help.h"
#include "commands/hook_lines.h"
#include "commands/judgement.h"
#include "commands/registry.h"
#include "commands/tracking_start.h"
#include "inferior/printable.h"
#include "inferior/process_limits.h"

namespace heapledger {

struct Session::Impl {
  Impl(Target& target, TargetControl& control) : context(target, control) {}

  // The debugger may have gone to another process without an event.
  void follow_process() {
    if (context.target.state() == ProcessState::none ||
        context.target.state() == ProcessState::exited) {
      return;
    }
    const std::uint64_t pid = context.target.pid();
    if (context.last_pid && *context.last_pid != pid) context.forget_process();
    context.last_pid = pid;
  }

  // The debugger's own memory ends like any other's; it lives on, and so does the process.
  Result<void> run(std::span<const std::string> arguments) {
    try {
      return run_command(context, arguments);
    } catch (const std::bad_alloc&) {
      context.forget_ledger();
      const auto room = memory_room(std::uint64_t(getpid()));
      return fail("this needs more memory than the debugger can get{}",
                  room ? fmt::format(": its {}", room->limit) : "");
    }
  }

  std::string first_event(bool from_start) {
    if (!context.settings.automatic || !context.launched || context.stopped_by_user) return "";
    auto line = start_tracking(context);
    if (line) {
      context.tracked_from_start = from_start;
      return *line;
    }
    // At a later event there may be something to hook; what is in the way is told once.
    if (std::exchange(context.spoke, true)) return "";
    return "heapledger: " + line.error().message + "\n";
  }

  std::string later_event() {
    context.forget_ledger();
    const bool waited = context.tracker.waits_for_stop();
    const auto hooks = context.tracker.modules_changed();
    if (!hooks && waited && context.tracker.waits_for_stop()) return "";  // it was said
    if (!hooks) return fmt::format("heapledger: {}\n", hooks.error().message);
    std::vector<std::string> parts;
    const auto tell = [&](const char* how, const std::string& what) {
      if (!what.empty()) parts.push_back(how + what);
    };
    tell("now tracking: ", hooked_by_module(*hooks));
    tell("by breakpoints, slowly: ", breakpoints_by_module(*hooks));
    tell("not hooked: ", not_hooked_by_module(*hooks));
    if (parts.empty()) return "";
    return fmt::format("heapledger: {}\n", fmt::join(parts, "; "));
  }

  Context context;
};

Session::Session(Target& target, TargetControl& control)
    : impl_(std::make_unique<Impl>(target, control)) {}
Session::~Session() = default;

std::string Session::on_loader_event(bool from_start) {
  impl_->follow_process();
  std::string told = impl_->context.tracker.active() ? impl_->later_event()
                                                     : impl_->first_event(from_start);
  impl_->context.open_exit_gate();
  return told;
}

std::string Session::on_exec() {
  impl_->context.forget_process();
  impl_->context.launched = true;  // the new program is seen from its beginning
  return "";
}

std::string Session::on_process(bool launched) {
  impl_->context.forget_process();
  impl_->context.last_pid.reset();
  impl_->context.judgement.reset();
  impl_->follow_process();
  impl_->context.launched = launched;
  return "";
}

std::string Session::on_process_gone() {
  impl_->context.forget_process();
  return "";
}

std::string Session::on_exit_call(int status, std::optional<int>& exit_code) {
  if (!impl_->context.at_exit) return "";
  return report_at_exit(impl_->context, status, exit_code);
}

bool Session::armed() const { return impl_->context.settings.automatic; }
bool Session::wants_exit_call() const { return impl_->context.at_exit != nullptr; }
Tracker& Session::tracker() { return impl_->context.tracker; }

void Session::on_stop() { impl_->context.open_exit_gate(); }

Address Session::exit_stop() const { return impl_->context.exit_gate.stop(); }

std::string Session::on_resume(Traps traps) {
  Context& context = impl_->context;
  context.tracker.pause();
  std::string told = context.tracker.waits_for_stop() ? impl_->later_event() : "";
  for (const auto& [function, missed] : context.tracker.unhook_under_breakpoints(traps)) {
    const std::string now = missed.empty() ? "recorded by a breakpoint, slowly" : "missed: " + missed;
    told += fmt::format("heapledger: a breakpoint stands inside the entry of {}: from now on its calls are {}\n",
                        function, now);
  }
  context.open_exit_gate();
  if (context.exit_gate.under_breakpoint(traps)) {
    (void)context.exit_gate.close();
    context.no_exit_gate = "a breakpoint of yours stands inside its first bytes";
  }
  return told;
}

std::string Session::on_let_go() {
  Context& context = impl_->context;
  std::string told;
  const auto tell = [&](const Result<void>& done) {
    if (!done) told += "heapledger: " + done.error().message + "\n";
  };
  if (context.tracker.active()) tell(context.tracker.stop());
  tell(context.exit_gate.close());
  return told;
}

CommandResult Session::run(std::span<const std::string> arguments) {
  impl_->follow_process();
  impl_->context.tracker.pause();
  impl_->context.exit_code.reset();
  const auto done = impl_->run(arguments);
  impl_->context.open_exit_gate();
  CommandResult result;
  result.ok = done.has_value();
  if (!done) result.error = one_line(done.error().message);
  result.exit_code = impl_->context.exit_code;
  return result;
}

std::string Session::help(const std::string& command) {
  if (command.empty()) return help_overview();
  const auto found = find_command(command);
  return found ? help_page(**found) : found.error().message + "\n";
}

std::vector<std::string> Session::command_names() {
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (!command.name.empty()) names.push_back(command.name);
  }
  return names;
}

std::vector<std::string> Session::complete(std::span<const std::string> arguments) {
  return completions(arguments);
}

}  // namespace heapledger
