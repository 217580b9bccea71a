// SPDX-License-Identifier: Apache-2.0
//
// leaks status: what is tracked, how, and what of it is known.
#include <fmt/format.h>

#include "commands/hook_lines.h"
#include "commands/output.h"
#include "commands/registry.h"
#include "report/ledger_coverage.h"
#include "report/numbers.h"

namespace heapledger {
namespace {

const char* engine_name(Engine engine) {
  return engine == Engine::breakpoint ? "breakpoints" : "entry hooks";
}

// "breakpoints: 1234 hits, 650 a second, 0.91 ms each; the process stood still 59% of that time"
std::string engine_words(const Tracker& tracker) {
  std::string words = engine_name(tracker.engine());
  const auto costs = tracker.costs();
  if (!costs) return words;
  words += fmt::format(": {} hits", costs->hits);
  if (costs->seconds == 0) return words;
  return words + fmt::format(", {:.0f} a second, {:.2f} ms each; the process stood still {:.0f}% of "
                             "that time", costs->rate(), costs->seconds_a_hit * 1000,
                             costs->stopped() * 100);
}

Json costs_json(const Tracker& tracker) {
  const auto costs = tracker.costs();
  if (!costs) return nullptr;
  return Json{{"hits", costs->hits},
              {"hits_per_second", costs->rate()},
              {"milliseconds_per_hit", costs->seconds_a_hit * 1000},
              {"stopped_share", costs->stopped()}};
}

struct Outstanding {
  std::uint64_t heap_bytes = 0, heap_blocks = 0, mapped_bytes = 0, mapped_segments = 0;
  std::uint64_t untracked_bytes = 0, untracked_blocks = 0;  // of the heap's
};

Outstanding outstanding(const Ledger& ledger) {
  Outstanding sum;
  for (const Allocation& allocation : ledger.recorded()) {
    (allocation.mapped ? sum.mapped_bytes : sum.heap_bytes) += allocation.block.size;
    ++(allocation.mapped ? sum.mapped_segments : sum.heap_blocks);
  }
  for (const Block& block : ledger.untracked()) sum.untracked_bytes += block.size;
  sum.untracked_blocks = ledger.untracked().size();
  sum.heap_bytes += sum.untracked_bytes;
  sum.heap_blocks += sum.untracked_blocks;
  return sum;
}

std::string tracking_words(const Context& context) {
  if (context.tracker.active()) return "on";
  if (context.tracker.has_ledger()) return "stopped (the ledger can be read)";
  return context.settings.automatic ? "armed (starts with the next launch)" : "off";
}

std::string process_words(const Context& context) {
  Target& target = context.target;
  switch (target.state()) {
    case ProcessState::none: return "none";
    case ProcessState::running: return fmt::format("{}, running", target.pid());
    case ProcessState::exited: {
      const auto status = target.exit_status();
      const std::string who = context.last_pid ? fmt::format("{}, ", *context.last_pid) : "";
      return status ? fmt::format("{}exited with status {}", who, *status) : who + "exited";
    }
    case ProcessState::stopped: break;
  }
  const char* kind = target.kind() == ProcessKind::core          ? "core file"
                     : target.kind() == ProcessKind::live_remote ? "stopped, remote"
                                                                 : "stopped";
  return fmt::format("{}, {}, {}", target.pid(), target.program_path(), kind);
}

std::string exit_words(const Context& context) {
  if (context.no_exit_gate.empty()) return "a scan for leaks";
  return "a scan for leaks, by a breakpoint at _exit: " + context.no_exit_gate;
}

std::string line(std::string_view label, std::string_view words) {
  const std::string name = label.empty() ? "" : fmt::format("{}:", label);
  return fmt::format("{:<14} {}\n", name, words);
}

using Reasons = std::vector<std::pair<std::string, std::string>>;

std::string reason_lines(std::string_view label, std::span<const ModuleHooks> modules,
                         Reasons ModuleHooks::*list) {
  std::string text;
  for (const ModuleHooks& module : modules) {
    for (const auto& [function, reason] : module.*list) {
      text += line(label, fmt::format("{}: {}: {}", module.module, function, reason));
      label = "";
    }
  }
  return text;
}

Json reasons_json(const Reasons& reasons) {
  Json list = Json::array();
  for (const auto& [function, reason] : reasons) {
    list.push_back({{"function", function}, {"reason", reason}});
  }
  return list;
}

std::string hook_lines(std::span<const ModuleHooks> modules, bool active) {
  std::string text;
  std::string_view label = active ? "hooked" : "were hooked";
  for (const ModuleHooks& module : modules) {
    if (module.hooked.empty()) continue;
    text += line(label, fmt::format("{}: {}", module.module, hooked_names(module)));
    label = "";
  }
  text += reason_lines("by breakpoint", modules, &ModuleHooks::by_breakpoint);
  return text + reason_lines("not hooked", modules, &ModuleHooks::not_hooked);
}

// What blocks without a record are.
const char* untracked_words(const LedgerCoverage& coverage) {
  if (coverage.stopped) return "are from before tracking or from after it";
  return coverage.dropped == 0 ? "are from before tracking"
                               : "are from before tracking or were not recorded";
}

std::string ledger_lines(const Ledger& ledger, const LedgerCoverage& coverage) {
  const Outstanding sum = outstanding(ledger);
  const LedgerCounters& c = ledger.counters();
  std::string text;
  text += line("outstanding",
               fmt::format("{} bytes in {} heap blocks", sum.heap_bytes, sum.heap_blocks));
  text += line("", fmt::format("{} bytes in {} mapped segments", sum.mapped_bytes,
                               sum.mapped_segments));
  if (sum.untracked_blocks != 0) {
    text += line("", fmt::format("of the heap blocks, {} bytes in {} {}", sum.untracked_bytes,
                                 sum.untracked_blocks, untracked_words(coverage)));
  }
  text += line("since start", fmt::format("{} allocations, {} releases, {} bytes allocated",
                                          c.allocations, c.releases, c.bytes));
  text += line("releases", fmt::format("{} of unknown blocks, {} by the wrong function",
                                       c.unknown_releases, c.mismatched_releases));
  text += line("dropped", fmt::format("{} allocations, {} mapped segments, {} stacks", c.dropped,
                                      c.dropped_mappings, c.dropped_stacks));
  if (!c.shortage.empty()) text += line("", c.shortage);
  text += line("in flight", fmt::format("{} calls", c.in_flight));
  text += line("stacks", fmt::format("{} incomplete", c.truncated_stacks));
  if (c.ledger_bytes != 0) {
    text += line("ledger", fmt::format("{} bytes of the process's memory", c.ledger_bytes));
  }
  if (ledger.damaged() != 0) {
    text += line("damaged", fmt::format("{} ledger entries skipped", ledger.damaged()));
  }
  return text;
}

Json hooks_json(std::span<const ModuleHooks> modules) {
  Json list = Json::array();
  for (const ModuleHooks& module : modules) {
    list.push_back({{"module", module.module},
                    {"hooked", module.hooked},
                    {"by_breakpoint", reasons_json(module.by_breakpoint)},
                    {"not_hooked", reasons_json(module.not_hooked)}});
  }
  return list;
}

Json ledger_json(const Ledger& ledger) {
  const Outstanding sum = outstanding(ledger);
  const LedgerCounters& c = ledger.counters();
  return Json{
      {"outstanding",
       {{"heap", {{"bytes", sum.heap_bytes}, {"blocks", sum.heap_blocks}}},
        {"untracked", {{"bytes", sum.untracked_bytes}, {"blocks", sum.untracked_blocks}}},
        {"mapped", {{"bytes", sum.mapped_bytes}, {"segments", sum.mapped_segments}}}}},
      {"since_start",
       {{"allocations", c.allocations}, {"releases", c.releases}, {"bytes", c.bytes}}},
      {"unknown_releases", c.unknown_releases},
      {"mismatched_releases", c.mismatched_releases},
      {"dropped", c.dropped},
      {"dropped_mappings", c.dropped_mappings},
      {"dropped_stacks", c.dropped_stacks},
      {"shortage", c.shortage.empty() ? Json(nullptr) : Json(c.shortage)},
      {"in_flight", c.in_flight},
      {"truncated_stacks", c.truncated_stacks},
      {"damaged", ledger.damaged()},
      {"ledger_bytes", c.ledger_bytes}};
}

const char* state_word(ProcessState state) {
  switch (state) {
    case ProcessState::running: return "running";
    case ProcessState::stopped: return "stopped";
    case ProcessState::exited: return "exited";
    case ProcessState::none: break;
  }
  return "none";
}

Result<void> run(Context& context, const Arguments& arguments) {
  if (context.target.state() == ProcessState::running) return context.stopped_process();
  context.adopt_once();
  const Ledger* ledger = nullptr;
  const bool there = context.target.state() == ProcessState::stopped;
  if (there && (context.tracker.has_ledger() || context.read_ledger)) {
    const auto read = context.ledger();
    if (!read) return tl::unexpected(read.error());
    ledger = *read;
  }
  auto output = Output::open(context.target, arguments);
  if (!output) return tl::unexpected(output.error());
  const auto& hooks = context.tracker.hooks();
  if (output->json()) {
    Json status{{"kind", "status"},
                {"tracking", context.tracker.active()       ? "on"
                             : context.tracker.has_ledger() ? "stopped"
                             : context.settings.automatic   ? "armed"
                                                            : "off"},
                {"auto", context.settings.automatic},
                {"at_exit", context.at_exit != nullptr},
                {"process", {{"pid", context.target.pid()},
                             {"state", state_word(context.target.state())},
                             {"program", context.target.program_path()}}},
                {"engine", engine_name(context.tracker.engine())},
                {"cost", costs_json(context.tracker)},
                {"modules", hooks_json(hooks)},
                {"ledger", ledger != nullptr ? ledger_json(*ledger) : Json(nullptr)}};
    output->sink()(json_text(status) + "\n");
    return output->finish();
  }
  std::string text = line("tracking", tracking_words(context));
  text += line("auto", context.settings.automatic ? "on" : "off");
  text += line("process", process_words(context));
  if (context.at_exit) text += line("at exit", exit_words(context));
  if (!hooks.empty()) {
    text += line("engine", engine_words(context.tracker)) + hook_lines(hooks, context.tracker.active());
  }
  if (ledger != nullptr) text += ledger_lines(*ledger, context.coverage(*ledger));
  output->sink()(text);
  return output->finish();
}

}  // namespace

Command status_command() {
  return {
      .name = "status",
      .summary = "tell what is tracked and what was recorded",
      .text =
          "Shows whether tracking is on, which functions are hooked in which module and which are\n"
          "not and why, what is outstanding, what was counted since tracking started, what could not\n"
          "be recorded, and how much of the process's memory the records take. Of tracking by\n"
          "breakpoints: how many hits there were, how many a second, and what they cost.\n",
      .options = {format_option(), output_option()},
      .examples = {"leaks status", "leaks status --format json"},
      .run = run,
  };
}

}  // namespace heapledger
