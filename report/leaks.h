// SPDX-License-Identifier: Apache-2.0
//
// The answer of `leaks` in Valgrind's words and layout (without its ==PID== margin), and as JSON.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "analysis/process_scan.h"
#include "report/ledger_coverage.h"
#include "report/output_file.h"
#include "report/stack_frames.h"

namespace heapledger {

struct VerdictSet {
  std::array<bool, kVerdictCount> in{};
  bool contains(Verdict v) const { return in[static_cast<std::size_t>(v)]; }
  void insert(Verdict v) { in[static_cast<std::size_t>(v)] = true; }
};

struct LeakReport {
  const ProcessScan& scan;
  const Ledger& ledger;
  VerdictSet show;                   // whose records are shown; the summary has all
  std::optional<std::size_t> limit;  // so many of the largest
  bool addresses = false;            // list the blocks of every record
  bool at_exit = false;              // the words of the first line
  LedgerCoverage coverage;
  Mappings mappings;                 // where modules without line numbers are
  const BlockShapes* shapes = nullptr;  // of untracked allocations; needed when there are any
};

// Both stream into `out` and end early but well-formed when the user interrupts.
void write_leaks_text(const LeakReport& report, FrameResolver& frames, Target& target,
                      const Sink& out);
void write_leaks_json(const LeakReport& report, FrameResolver& frames, Target& target,
                      const Sink& out);

// What both are made of: the records that are shown, with their number of all.
struct NumberedRecord {
  LossRecord record;
  std::size_t number;  // from 1
};
struct RecordSelection {
  std::vector<NumberedRecord> shown;
  std::size_t all = 0;
  std::size_t cut = 0;  // by the limit
};
RecordSelection select_records(const LeakReport& report);

// The shape of a record of untracked blocks; nullptr: tracked ones, with a stack.
std::vector<CodeAddress> stack_of(const LeakReport& report, const LossRecord& record);
const BlockShape* shape_of(const LeakReport& report, const LossRecord& record);

// What could not be seen, and roots that hold suspiciously much, as sentences.
std::vector<std::string> scan_notes(const LeakReport& report);

}  // namespace heapledger
