// SPDX-License-Identifier: Apache-2.0
//
// What a command works with: the process, its tracking, the settings that outlive it, and the
// ledger of the current stop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "analysis/process_heap.h"
#include "analysis/process_scan.h"
#include "inferior/target.h"
#include "report/ledger_coverage.h"
#include "report/stack_frames.h"
#include "tracking/exit_gate.h"
#include "tracking/tracker.h"

namespace heapledger {

struct Settings {
  bool automatic = true;      // leaks auto: track every later launch
  TrackingOptions tracking;   // for the next start
};

struct AtExit;
struct Judgement;

class Context {
 public:
  Context(Target& target_, TargetControl& control_);
  ~Context();

  Target& target;
  TargetControl& control;
  Tracker tracker;
  ExitGate exit_gate;
  Settings settings;
  bool stopped_by_user = false;           // leaks stop: events do not start it again
  bool spoke = false;                     // why nothing is tracked was said once for this process
  std::optional<int> exit_code;           // for the debugger, set by a command
  std::optional<std::uint64_t> last_pid;  // of the process that is there or was
  bool launched = false;                  // by the debugger, so that tracking sees its beginning
  bool tracked_from_start = false;        // no block is older than tracking

  std::unique_ptr<AtExit> at_exit;        // leaks at-exit was given
  std::string no_exit_gate;               // why the gate is not open in this process, if it was tried
  std::unique_ptr<Judgement> judgement;   // of the last process that came to its end
  std::string last_report;                // of that process

  // The blocks of this stop, read once: what tracking recorded, and where it did not see all of it what
  // malloc's own structures show. An Error says in the user's words why there is nothing (no process,
  // running, not tracked and another allocator ...).
  Result<const Ledger*> ledger();
  const BlockShapes& shapes();        // of the untracked blocks of ledger(), looked at when first asked
  const HeapWalk* heap() const;       // malloc's structures, if they were asked for ledger()
  // Its reachability scan, made once per stop. What who-owns and the others read is the exact one.
  Result<const ProcessScan*> scan(LeaderRule leader = LeaderRule::exact);
  void forget_ledger();
  // Unit tests put a ledger of their own here; otherwise the tracker's.
  std::function<Result<Ledger>()> read_ledger;
  // The same for scans.
  std::function<Result<ProcessScan>(const Ledger&, const ProcessScanOptions&)> make_scan;

  // The process is there, stopped, and of a kind the project can read; else the user's words.
  Result<void> stopped_process() const;
  // A debugger that comes late finds the agent an earlier one left.
  void adopt_once();
  // What at_exit needs in a process that is there and stopped, where it was not done yet: without it the
  // end is seen by a breakpoint at _exit.
  void open_exit_gate();
  // Ours in the process.
  std::vector<AddressRange> own_memory();
  // Another process: nothing of the old one holds.
  void forget_process();

  FrameResolver frame_resolver();
  LedgerCoverage coverage(const Ledger& ledger) const;

 private:
  struct Cached {
    std::uint64_t stop_id = 0;
    Ledger ledger;
    bool recorded = false;          // by an agent
    std::optional<HeapWalk> heap;   // its blocks are in the ledger
    std::string no_heap;            // why it was not walked
    std::optional<BlockShapes> shapes;
  };
  Result<std::optional<Ledger>> recorded_ledger();
  bool saw_everything() const;
  void join_heap(Cached& cached);
  struct CachedScan {
    LeaderRule leader;
    ProcessScan scan;
  };
  std::optional<Cached> cached_;
  std::optional<CachedScan> scan_;  // of cached_
  bool adopted_ = false;
};

}  // namespace heapledger
