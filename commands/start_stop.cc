// SPDX-License-Identifier: Apache-2.0
//
// leaks start, leaks stop: tracking in the process that is there, or in the next one.
#include <fmt/format.h>

#include <algorithm>

#include "agent/protocol.h"
#include "commands/registry.h"
#include "commands/tracking_start.h"

namespace heapledger {
namespace {

bool is_entry_point(std::string_view name) {
#define X(symbol, kind, shape) symbol,
  static constexpr std::string_view kNames[] = {HEAPLEDGER_ENTRY_POINTS(X)};
#undef X
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

// "malloc=0x401a20"
Result<std::pair<std::string, Address>> parse_hook(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    return fail("--hook must be NAME=ADDR such as malloc=0x401a20, not '{}'", text);
  }
  const std::string name = text.substr(0, equals);
  if (!is_entry_point(name)) {
    return fail("--hook: '{}' is no function that allocates or frees; expected malloc, calloc, "
                "realloc, free, posix_memalign, aligned_alloc, memalign, mmap, munmap ...", name);
  }
  const auto address = parse_hexadecimal(text.substr(equals + 1));
  if (!address || *address == 0) {
    return fail("--hook: '{}' is not an address such as 0x401a20", text.substr(equals + 1));
  }
  return std::pair(name, *address);
}

Result<TrackingOptions> options_of(const Arguments& arguments) {
  TrackingOptions options;
  const bool by_breakpoints = arguments.value("--engine") == "breakpoint";
  options.engine = by_breakpoints ? Engine::breakpoint : Engine::agent;
  options.stacks = !arguments.has("--no-stacks");
  options.despite_filters = arguments.has("--despite-seccomp");
  const auto limit = arguments.bytes("--max-ledger");
  if (!limit) return tl::unexpected(limit.error());
  if (*limit && **limit < (1u << 20)) {
    return fail("--max-ledger must be at least 1M, not {}", *arguments.value("--max-ledger"));
  }
  options.max_ledger_bytes = limit->value_or(0);
  for (const std::string& text : arguments.all("--hook")) {
    const auto hook = parse_hook(text);
    if (!hook) return tl::unexpected(hook.error());
    options.extra_hooks.push_back(*hook);
  }
  return options;
}

Result<void> run_start(Context& context, const Arguments& arguments) {
  auto options = options_of(arguments);
  if (!options) return tl::unexpected(options.error());
  const ProcessState state = context.target.state();
  if (state == ProcessState::none || state == ProcessState::exited) {
    context.settings.tracking = std::move(*options);
    context.settings.automatic = true;
    context.target.out("Tracking will start with the next launch, with these options.\n");
    return {};
  }
  auto can = trackable(context, options->engine);
  if (!can) return can;
  context.adopt_once();
  if (auto left = context.exit_gate.remove_left(); !left) return tl::unexpected(left.error());
  if (context.tracker.active()) {
    return fail("process {} is tracked already: `leaks stop` first to start anew",
                context.target.pid());
  }
  context.settings.tracking = std::move(*options);
  const auto line = start_tracking(context);
  if (!line) return tl::unexpected(line.error());
  context.tracked_from_start = false;
  context.target.out(*line);
  context.target.out("Blocks that are there already have no stack.\n");
  return {};
}

// A debugger that was killed amid starting or stopping left hooks that record nothing.
Result<void> remove_left_hooks(Context& context, std::size_t removed_before) {
  auto removed = context.tracker.remove_left_hooks();
  if (!removed) return tl::unexpected(removed.error());
  *removed += removed_before;
  if (*removed == 0) return fail("process {} is not tracked", context.target.pid());
  context.target.out(fmt::format("{} hooks that an earlier debugger left: every hooked function is as it "
                                 "was.\n", *removed));
  return {};
}

Result<void> run_stop(Context& context, const Arguments&) {
  auto there = context.stopped_process();
  if (!there) return there;
  if (context.target.kind() == ProcessKind::core) {
    return fail("a core file is not tracked: there is no process");
  }
  context.adopt_once();
  const auto left = context.exit_gate.remove_left();
  if (!left) return tl::unexpected(left.error());
  if (!context.tracker.active()) return remove_left_hooks(context, *left);
  auto stopped = context.tracker.stop();
  context.forget_ledger();
  context.stopped_by_user = true;
  if (!stopped) return stopped;
  context.target.out(
      "Tracking stopped: every hooked function is as it was. The ledger stays readable until the "
      "process ends, and no longer changes.\n");
  return {};
}

}  // namespace

Command start_command() {
  return {
      .name = "start",
      .summary = "track allocations in this process, or in the next one",
      .text =
          "Hooks every allocator function of the program and its libraries, and records what is\n"
          "allocated from now on with its call stack. Loading heapledger does this for every later\n"
          "launch by itself (see `leaks help auto`); the command is for a process that runs already,\n"
          "after `leaks stop`, and for the options below. Without a process the options are kept for\n"
          "the next launch.\n"
          "\n"
          "With `--engine breakpoint` the debugger stops at each of those functions instead. That takes\n"
          "about a millisecond a call, but works on remote processes (gdb-remote) too; `leaks status`\n"
          "tells what it costs.\n"
          "\n"
          "A child after fork is not tracked: the hooks do nothing in it, and its program runs as\n"
          "it would without a debugger.\n",
      .options =
          {{"--engine", "NAME", "agent: hooks (the default); breakpoint: nothing is changed in the process",
            {"agent", "breakpoint"}},
           {"--no-stacks", "", "record sizes and kinds only"},
           {"--hook", "NAME=ADDR", "NAME (malloc, free ...) is at ADDR, in a program without symbols",
            {}, true},
           {"--max-ledger", "SIZE", "the most memory records may take in the process, 1M and more"},
           {"--despite-seccomp", "", "also where a seccomp filter may kill the process for it"}},
      .examples = {"leaks start", "leaks start --max-ledger 512M", "leaks start --engine breakpoint",
                   "leaks start --hook malloc=0x401a20 --hook free=0x401c80"},
      .run = run_start,
  };
}

Command stop_command() {
  return {
      .name = "stop",
      .summary = "take the hooks out again",
      .text =
          "Puts back every byte that was changed in the program's functions. What was recorded stays\n"
          "readable until the process ends. At later stops malloc's own structures tell which of it is\n"
          "still there, and what came since, which has no stack.\n",
      .examples = {"leaks stop"},
      .run = run_stop,
  };
}

}  // namespace heapledger
