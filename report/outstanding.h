// SPDX-License-Identifier: Apache-2.0
//
// `leaks top` as bcc memleak prints it, and as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "analysis/outstanding.h"
#include "report/ledger_coverage.h"
#include "report/output_file.h"
#include "report/stack_frames.h"

namespace heapledger {

struct OutstandingReport {
  const Ledger& ledger;
  std::vector<OutstandingGroup> groups;  // all that match the filter, in the order asked for
  std::size_t limit = 10;                // how many of them are shown
  bool addresses = false;                // list every allocation
  std::string filter;                    // "--older 500 --min-size 4096", empty: none
  std::string time;                      // "12:34:56"
  LedgerCoverage coverage;
  const BlockShapes* shapes = nullptr;   // of untracked allocations; needed when there are any
};

// Both stream into `out`, look frames up as they go, and end early but well-formed when the user
// interrupts.
void write_outstanding_text(const OutstandingReport& report, FrameResolver& frames, Target& target,
                            const Sink& out);
void write_outstanding_json(const OutstandingReport& report, FrameResolver& frames, Target& target,
                            const Sink& out);

}  // namespace heapledger
