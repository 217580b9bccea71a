// SPDX-License-Identifier: Apache-2.0
//
// What tracking did not see, and what follows from it for the reader of an answer.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "report/frame_format.h"
#include "tracking/ledger.h"
#include "tracking/tracker.h"

namespace heapledger {

struct LedgerCoverage {
  std::uint64_t dropped = 0;           // allocations
  std::uint64_t dropped_mappings = 0;
  std::uint64_t dropped_stacks = 0;
  bool returns_missed = false;         // why they were dropped: LedgerCounters::returns_missed
  std::string shortage;                // and ::shortage
  std::uint64_t in_flight = 0;         // calls
  std::uint64_t truncated_stacks = 0;  // of outstanding allocations
  std::uint64_t damaged = 0;           // entries
  std::uint64_t unseen_releases = 0;   // mapped segments that are not mapped any more
  bool started_late = false;           // or maybe: this session did not see it begin
  bool stopped = false;                // tracking was: nothing since has a record
  bool recorded = true;                // there is a ledger
  std::string missing_evidence;        // Target::missing_evidence
  // What malloc's own structures say of blocks the ledger does not have.
  std::uint64_t untracked = 0;         // blocks
  std::string heap_not_walked;         // why; empty: walked, or no need to
  bool requested_sizes = false;          // HeapWalk::requested_sizes
  std::vector<std::string> heap_notes;   // HeapWalk::notes
  std::vector<std::string> heap_damage;  // what the walk could not make out
  struct NotHooked {
    std::string module, function, reason;
  };
  std::vector<NotHooked> not_hooked;
};

LedgerCoverage ledger_coverage(const Ledger& ledger, std::span<const ModuleHooks> hooks);

// Where a stack would stand, for blocks that have no record.
std::string_view untracked_name(const LedgerCoverage& coverage);

// One sentence each, with its consequence; empty when everything was seen.
std::vector<std::string> coverage_notes(const LedgerCoverage& coverage);
// Of them, the one about blocks whose record may be another block's; empty: there are none.
std::string stopped_note(const LedgerCoverage& coverage);
// The same as whole lines that start with "note: ".
std::string coverage_text(const LedgerCoverage& coverage);
std::string note_lines(std::span<const std::string> notes);
Json coverage_json(const LedgerCoverage& coverage);

}  // namespace heapledger
