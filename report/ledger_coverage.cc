// SPDX-License-Identifier: Apache-2.0
#include "report/ledger_coverage.h"

#include <fmt/format.h>

#include <algorithm>

namespace heapledger {

LedgerCoverage ledger_coverage(const Ledger& ledger, std::span<const ModuleHooks> hooks) {
  const LedgerCounters& counters = ledger.counters();
  const auto recorded = ledger.recorded();
  LedgerCoverage coverage{.dropped = counters.dropped,
                          .dropped_mappings = counters.dropped_mappings,
                          .dropped_stacks = counters.dropped_stacks,
                          .returns_missed = counters.returns_missed,
                          .shortage = counters.shortage,
                          .in_flight = counters.in_flight,
                          .damaged = ledger.damaged(),
                          .unseen_releases = ledger.unseen_releases(),
                          .untracked = ledger.untracked().size()};
  coverage.truncated_stacks = std::uint64_t(
      std::count_if(recorded.begin(), recorded.end(),
                    [](const Allocation& a) { return bool(a.truncated); }));
  for (const ModuleHooks& module : hooks) {
    for (const auto& [function, reason] : module.not_hooked) {
      coverage.not_hooked.push_back({module.module, function, reason});
    }
  }
  return coverage;
}

std::string_view untracked_name(const LedgerCoverage& coverage) {
  return coverage.stopped || coverage.dropped != 0 ? "<not recorded>" : "<allocated before tracking>";
}

namespace {

std::string_view size_words(const LedgerCoverage& coverage) {
  return coverage.requested_sizes ? ""
                                  : "; their sizes are usable bytes, a little more than asked for";
}

std::string late_note(const LedgerCoverage& coverage) {
  if (!coverage.heap_not_walked.empty()) {
    return fmt::format("tracking was not seen to begin with the process: blocks from before it are "
                       "neither listed nor judged ({})", coverage.heap_not_walked);
  }
  if (!coverage.recorded) {
    return fmt::format("not tracked: blocks are those of malloc's own structures, without stacks{}",
                       size_words(coverage));
  }
  if (coverage.untracked == 0) {
    return "tracking was not seen to begin with the process: mapped segments from before it are not "
           "listed";
  }
  return fmt::format("tracking was not seen to begin with the process: {} blocks {} have no stack{}",
                     coverage.untracked,
                     coverage.dropped == 0 ? "from before it" : "that were not recorded",
                     size_words(coverage));
}

}  // namespace

std::string stopped_note(const LedgerCoverage& coverage) {
  if (!coverage.stopped) return "";
  if (!coverage.heap_not_walked.empty()) {
    return fmt::format("tracking is stopped: what was allocated or released since is not known ({})",
                       coverage.heap_not_walked);
  }
  std::string note = "tracking is stopped: a block allocated since may have the stack of an earlier one "
                     "of its size at the same address";
  if (coverage.untracked != 0) {
    note += fmt::format("; {} blocks from before or since have no stack{}", coverage.untracked,
                        size_words(coverage));
  }
  return note;
}

std::vector<std::string> coverage_notes(const LedgerCoverage& coverage) {
  std::vector<std::string> notes;
  if (coverage.stopped) {
    notes.push_back(stopped_note(coverage));
  } else if (coverage.started_late) {
    notes.push_back(late_note(coverage));
  }
  notes.insert(notes.end(), coverage.heap_notes.begin(), coverage.heap_notes.end());
  for (const std::string& damage : coverage.heap_damage) {
    notes.push_back(fmt::format("malloc's own structures: {}", damage));
  }
  if (!coverage.heap_damage.empty()) {
    notes.push_back("blocks that malloc's structures do not show are not judged, and memory that "
                    "could not be made out counts as a root: leaks may be missing");
  }
  const std::string full =
      coverage.shortage.empty() ? "the ledger's memory was full"
                                : fmt::format("the ledger's memory was full ({})", coverage.shortage);
  const std::string why = coverage.returns_missed ? "the calls' returns were not seen" : full;
  if (coverage.dropped != 0) {
    notes.push_back(fmt::format(
        "{} allocations were not recorded, {}: {}", coverage.dropped, why,
        coverage.untracked == 0 ? "the real numbers are larger" : "they have no stack"));
  }
  if (coverage.dropped_mappings != 0) {
    notes.push_back(fmt::format(
        "{} mapped segments were not recorded, {}: mapped bytes may be wrong",
        coverage.dropped_mappings, why));
  }
  if (coverage.dropped_stacks != 0) {
    notes.push_back(fmt::format(
        "{} allocations were recorded without their stack, {}", coverage.dropped_stacks, full));
  }
  if (coverage.in_flight != 0) {
    notes.push_back(fmt::format(
        "{} allocator calls were in progress at this stop: their blocks may be missing",
        coverage.in_flight));
  }
  if (coverage.truncated_stacks != 0) {
    notes.push_back(fmt::format(
        "the stacks of {} outstanding allocations are incomplete: outer callers are missing",
        coverage.truncated_stacks));
  }
  if (coverage.damaged != 0) {
    notes.push_back(fmt::format(
        "{} ledger entries made no sense and were skipped: the program may have overwritten them",
        coverage.damaged));
  }
  if (coverage.unseen_releases != 0) {
    notes.push_back(fmt::format(
        "{} mapped segments were released, in part or whole, by a way that is not hooked: what the "
        "process has not mapped any more is left out", coverage.unseen_releases));
  }
  for (const auto& entry : coverage.not_hooked) {
    notes.push_back(fmt::format(
        "{} in {} is not hooked ({}): what it allocates or frees is not seen", entry.function,
        entry.module, entry.reason));
  }
  return notes;
}

std::string note_lines(std::span<const std::string> notes) {
  std::string text;
  for (const std::string& note : notes) text += "note: " + note + "\n";
  return text;
}

std::string coverage_text(const LedgerCoverage& coverage) {
  return note_lines(coverage_notes(coverage));
}

Json coverage_json(const LedgerCoverage& coverage) {
  Json not_hooked = Json::array();
  for (const auto& entry : coverage.not_hooked) {
    not_hooked.push_back(
        {{"module", entry.module}, {"function", entry.function}, {"reason", entry.reason}});
  }
  return Json{{"started_late", coverage.started_late},
              {"stopped", coverage.stopped},
              {"recorded", coverage.recorded},
              {"missing_evidence", coverage.missing_evidence.empty()
                                       ? Json(nullptr)
                                       : Json(coverage.missing_evidence)},
              {"untracked", coverage.untracked},
              {"heap_not_walked", coverage.heap_not_walked.empty() ? Json(nullptr)
                                                                    : Json(coverage.heap_not_walked)},
              {"heap_notes", coverage.heap_notes},
              {"heap_damage", coverage.heap_damage},
              {"dropped", coverage.dropped},
              {"dropped_mappings", coverage.dropped_mappings},
              {"dropped_stacks", coverage.dropped_stacks},
              {"shortage", coverage.shortage.empty() ? Json(nullptr) : Json(coverage.shortage)},
              {"in_flight", coverage.in_flight},
              {"truncated_stacks", coverage.truncated_stacks},
              {"damaged", coverage.damaged},
              {"unseen_releases", coverage.unseen_releases},
              {"not_hooked", std::move(not_hooked)}};
}

}  // namespace heapledger
