// SPDX-License-Identifier: Apache-2.0
//
// Entry hooks: 5-byte jumps at function entries, written while every thread is stopped, and taken
// out again byte for byte.
//
// An island is an R-X mapping within +-2 GiB of the functions it serves. For each function it holds
//
//   entry stub   lea site(%rip),%reg ; jmp *hook(%rip)      the jump at the entry leads here
//   Site         agent/protocol.h; read by the hook
//   trampoline   the displaced instructions, then a jump back
//
// so the agent's image itself may be anywhere.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/protocol.h"
#include "inferior/target.h"
#include "tracking/relocate.h"
#include "tracking/side_entries.h"

namespace heapledger {

struct HookRequest {
  std::string symbol;         // what the user knows it by: "malloc"
  std::string module;         // file name
  AddressRange module_range;  // the island must be near all of it
  Address function = 0;
  std::vector<std::uint8_t> original;  // the function's bytes as the file has them, without traps
  std::vector<SideEntry> side_entries;  // a jump may not stand over one
  agent::Kind kind = agent::Kind::none;
  agent::Shape shape = agent::Shape::malloc_like;
  Address hook = 0;  // entry in the agent's image
};

struct InstalledHook {
  HookRequest request;
  std::uint32_t index = 0;              // Site::index
  Address patched = 0;                  // function + skipped
  std::vector<std::uint8_t> displaced;  // whole instructions; the jump stands over 5 bytes of them
  Address stub = 0;
  Address site = 0;
  Address trampoline = 0;
  std::uint32_t trampoline_size = 0;
  std::vector<Relocation::Boundary> boundaries;
};

struct RefusedHook {
  HookRequest request;
  std::string reason;
};

// How a debugger's breakpoints are known while the process is stopped: its traps stand in memory, which is
// quick to look at (LLDB), or they are in its list only until the process runs (gdb).
enum class Traps { in_memory, listed };

class Patcher {
 public:
  Patcher(Target& target, TargetControl& control);
  ~Patcher();

  struct Outcome {
    std::vector<const InstalledHook*> installed;  // valid until remove_all or forget_all
    std::vector<RefusedHook> refused;
  };
  // All threads must be stopped. Threads whose pc is inside displaced bytes are moved into the
  // trampoline. Functions at the same address (aliases: memalign, aligned_alloc) are patched once,
  // the first request wins; the others are reported as installed with the same hook.
  // Compares the inferior's bytes with request.original first and refuses when they differ by more
  // than breakpoint traps (another tool's patch).
  Outcome install(std::vector<HookRequest> requests);

  // Puts back every byte, compares with what stood there, and moves no thread: those inside a
  // trampoline run on, the islands stay mapped. Functions in `gone` (unloaded modules) are only
  // forgotten. The Error lists what could not be restored; it stays in installed().
  Result<void> remove_all(const std::vector<AddressRange>& gone = {});
  // The same for one hook, which is destroyed on success.
  Result<void> remove(const InstalledHook& hook);
  // Hooks with a breakpoint set, after they were installed, at one of their patched bytes but the
  // first: the trap would be read as part of the jump, so remove() them before the process runs on.
  std::vector<const InstalledHook*> under_breakpoints(Traps traps) const;
  // What stands in the inferior where `hook` was installed is what was written there, traps of
  // breakpoints aside; the Error says what stands there instead.
  Result<void> check(const InstalledHook& hook) const;
  // The process is gone or was replaced (exec): forget without touching memory.
  void forget_all();
  // A module was unloaded: its hooks are forgotten (the memory is no longer there).
  void forget(AddressRange module_range);

  const std::vector<std::unique_ptr<InstalledHook>>& installed() const;
  std::vector<AddressRange> islands() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace heapledger
