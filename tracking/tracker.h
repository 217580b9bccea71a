// SPDX-License-Identifier: Apache-2.0
//
// Tracking of one process: brings the agent in, hooks the allocator's entry points, follows modules
// as they come and go, and takes everything out again.
//
// Order at the start: agent image and state -> unwind rules of every module -> hooks -> active. With
// the breakpoint engine nothing is brought in and nothing is changed but by breakpoints.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "inferior/modules.h"
#include "inferior/target.h"
#include "tracking/hit_meter.h"
#include "tracking/hook_list.h"
#include "tracking/ledger.h"
#include "tracking/patcher.h"

namespace heapledger {

// Who sees the calls: the agent, through hooks at the functions' entries, or the debugger itself, by
// breakpoints (the fallback: breakpoint_tracker.h).
enum class Engine { agent, breakpoint };

struct TrackingOptions {
  Engine engine = Engine::agent;
  bool stacks = true;
  bool time = true;
  std::uint64_t max_ledger_bytes = 0;  // 0: no limit
  bool despite_filters = false;        // of system calls: call_filters.h
  // --hook malloc=ADDR: functions the user places, for programs without symbols.
  std::vector<std::pair<std::string, Address>> extra_hooks;
};

class Tracker {
 public:
  Tracker(Target& target, TargetControl& control);
  ~Tracker();

  // All threads stopped. Finds every definition of every entry point in every module and hooks it.
  // Returns what was hooked now (modules with nothing to hook are left out). An Error when nothing
  // at all could be hooked: the process is then unchanged.
  Result<std::vector<ModuleHooks>> start(const TrackingOptions& options);
  // At a loader event (dlopen, dlclose) or a later stop: hooks and rules of new modules, forgets old.
  Result<std::vector<ModuleHooks>> modules_changed();
  // Restores every byte; the ledger stays readable until the process goes away.
  Result<void> stop();
  // Hooks of a debugger that was killed before tracking was on, or while it took them out. How many.
  Result<std::size_t> remove_left_hooks();
  // Before the process runs on: a breakpoint the user has set since inside a patched entry (not at its
  // first byte) would be read as part of the jump. Those hooks are taken out; a breakpoint at the entry
  // records the calls instead.
  struct Unhooked {
    std::string function;
    std::string missed;  // why its calls are from now on; empty: they are recorded
  };
  std::vector<Unhooked> unhook_under_breakpoints(Traps traps);
  // The process is gone or was replaced by exec.
  void forget();
  // A fresh debugger session finds an agent of ours in the process (magic, version) and takes over.
  Result<bool> adopt();

  // Something of modules_changed() could not be done while threads ran: call it at the next real stop.
  bool waits_for_stop() const;
  // The user sees a stop, or the process is about to go on.
  void pause();
  bool active() const;           // hooks are in
  Engine engine() const;         // of the ledger there is, or of the last start
  std::optional<HitCosts> costs() const;  // of the breakpoint engine
  bool has_ledger() const;       // there is a ledger to read (also after stop)
  const std::vector<ModuleHooks>& hooks() const;   // everything hooked so far
  Result<Ledger> read_ledger();
  Address state_address() const;
  // Our own memory in the inferior: image, islands, state, rules, arena. Never a root.
  std::vector<AddressRange> own_memory();
  // Which module a code address belonged to when incarnation `n` covered it; nullopt: none of ours.
  struct CodeOrigin {
    std::string path;
    Address bias = 0;
    AddressRange range;
    bool loaded = true;
    std::shared_ptr<const ElfFile> elf;  // what was mapped; null: it could not be read
  };
  std::optional<CodeOrigin> code_origin(CodeAddress address) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace heapledger
