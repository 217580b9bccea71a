// SPDX-License-Identifier: Apache-2.0
#include "report/ledger_coverage.h"

#include <fmt/format.h>

#include <algorithm>

namespace heapledger {

LedgerCoverage ledger_coverage(const Ledger& ledger, std::span<const ModuleHooks> hooks) {
  const LedgerCounters& counters = ledger.counters();
  const auto allocations = ledger.allocations();
  LedgerCoverage coverage{.dropped = counters.dropped,
                          .dropped_mappings = counters.dropped_mappings,
                          .dropped_stacks = counters.dropped_stacks,
                          .in_flight = counters.in_flight,
                          .damaged = ledger.damaged()};
  coverage.truncated_stacks = std::uint64_t(
      std::count_if(allocations.begin(), allocations.end(),
                    [](const Allocation& a) { return bool(a.truncated); }));
  for (const ModuleHooks& module : hooks) {
    for (const auto& [function, reason] : module.not_hooked) {
      coverage.not_hooked.push_back({module.module, function, reason});
    }
  }
  return coverage;
}

std::string coverage_text(const LedgerCoverage& coverage) {
  std::string text;
  if (coverage.dropped != 0) {
    text += fmt::format(
        "note: {} allocations were not recorded, the ledger's memory was full: "
        "the real numbers are larger\n", coverage.dropped);
  }
  if (coverage.dropped_mappings != 0) {
    text += fmt::format(
        "note: {} mapped segments were not recorded, the ledger's memory was full: "
        "mapped bytes may be wrong\n", coverage.dropped_mappings);
  }
  if (coverage.dropped_stacks != 0) {
    text += fmt::format(
        "note: {} allocations were recorded without their stack, the ledger's memory was full\n",
        coverage.dropped_stacks);
  }
  if (coverage.in_flight != 0) {
    text += fmt::format(
        "note: {} allocator calls were in progress at this stop: their blocks may be missing\n",
        coverage.in_flight);
  }
  if (coverage.truncated_stacks != 0) {
    text += fmt::format(
        "note: the stacks of {} outstanding allocations are incomplete: outer callers are missing\n",
        coverage.truncated_stacks);
  }
  if (coverage.damaged != 0) {
    text += fmt::format(
        "note: {} ledger entries made no sense and were skipped: the program may have overwritten "
        "them\n", coverage.damaged);
  }
  for (const auto& entry : coverage.not_hooked) {
    text += fmt::format("note: {} in {} is not hooked ({}): what it allocates or frees is not seen\n",
                        entry.function, entry.module, entry.reason);
  }
  return text;
}

Json coverage_json(const LedgerCoverage& coverage) {
  Json not_hooked = Json::array();
  for (const auto& entry : coverage.not_hooked) {
    not_hooked.push_back(
        {{"module", entry.module}, {"function", entry.function}, {"reason", entry.reason}});
  }
  return Json{{"dropped", coverage.dropped},
              {"dropped_mappings", coverage.dropped_mappings},
              {"dropped_stacks", coverage.dropped_stacks},
              {"in_flight", coverage.in_flight},
              {"truncated_stacks", coverage.truncated_stacks},
              {"damaged", coverage.damaged},
              {"not_hooked", std::move(not_hooked)}};
}

}  // namespace heapledger
