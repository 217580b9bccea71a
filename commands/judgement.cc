// SPDX-License-Identifier: Apache-2.0
#include "commands/judgement.h"

#include <fmt/format.h>

#include "report/numbers.h"

namespace heapledger {
namespace {

// Blocks that were not recorded cannot be found lost. (What could not be read makes more blocks
// lost, not fewer.)
bool may_hide_leaks(const Coverage& coverage) {
  return coverage.dropped_records != 0 || coverage.damaged_records != 0;
}

}  // namespace

Judgement judge(const AtExit& at_exit, const Summary& summary, const Coverage& coverage,
                int status) {
  std::string found;
  for (std::size_t i = kVerdictCount; i-- > 0;) {  // definitely lost first
    const Total total = summary.totals[i];
    if (!at_exit.errors.in[i] || total.blocks == 0) continue;
    found += fmt::format("{}{} bytes in {} blocks are {}", found.empty() ? "" : ", ",
                         with_commas(total.bytes), with_commas(total.blocks),
                         verdict_name(Verdict(i)));
  }
  if (!found.empty()) {
    // As with Valgrind, code 0 means the program's own.
    return {at_exit.error_code != 0 ? at_exit.error_code : status, found};
  }
  if (may_hide_leaks(coverage)) return {kNeverJudged, "too little was seen to say"};
  return {status, "nothing is lost"};
}

}  // namespace heapledger
