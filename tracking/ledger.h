// SPDX-License-Identifier: Apache-2.0
//
// The outstanding allocations of one stop and the stacks they came from: the debugger session's copy
// of the agent's ledger, taken with bulk reads (ledger_reader.h), or what the debugger recorded itself
// (ledger_builder.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/protocol.h"
#include "inferior/block.h"
#include "inferior/mappings.h"
#include "inferior/memory.h"
#include "inferior/result.h"
#include "inferior/target.h"

namespace heapledger {

// Index into the stack depot; 0 is "no stack recorded".
using StackId = std::uint32_t;

struct Allocation {
  Block block;
  StackId stack = 0;
  std::uint32_t time = 0;    // ticks since start, see Ledger::age_ms
  std::uint16_t thread = 0;  // index into Ledger::threads
  agent::Kind kind = agent::Kind::none;
  bool truncated : 1 = false;  // the stack is incomplete
  bool in_flight : 1 = false;  // a realloc of it was in progress
  bool mapped : 1 = false;     // a mapped segment (mmap, mremap, shmat), not a heap block
  // Known from the allocator's own structures alone: address and usable bytes, nothing else.
  bool untracked : 1 = false;
};

struct LedgerCounters {
  std::uint64_t allocations = 0;  // since tracking started
  std::uint64_t releases = 0;
  std::uint64_t bytes = 0;  // requested, cumulative
  std::uint64_t unknown_releases = 0;
  std::uint64_t mismatched_releases = 0;
  std::uint64_t truncated_stacks = 0;
  // Allocations not recorded: the ledger's memory was full, or of a breakpoint engine's (returns_missed)
  // the call's return was not seen.
  std::uint64_t dropped = 0;
  bool returns_missed = false;
  std::uint64_t dropped_mappings = 0;
  std::uint64_t dropped_stacks = 0;  // recorded without a stack
  std::string shortage;              // why the ledger could not grow, if ever it could not
  std::uint64_t in_flight = 0;       // calls in progress at the stop
  std::uint64_t frames_walked = 0;
  std::uint64_t frames_reused = 0;
  std::uint64_t ledger_bytes = 0;  // its state and the opened memory of its arena
};

class Ledger {
 public:
  static constexpr std::size_t kMaxStack = 2 * agent::kMaxFrames;
  static constexpr unsigned kIncarnationShift = 48;  // in agent::Node::pc

  // Takes in everything. Hostile or damaged contents give an Error or are counted in `damaged`;
  // work and memory are bounded by the memory actually mapped. `state` is the agent::State's
  // address. With a `progress` target: Ctrl-C gives an Error, and a core is not taken for a live
  // process.
  static Result<Ledger> read(const Memory& memory, Address state, Target* progress = nullptr);

  // What was recorded, sorted by start. Heap blocks never overlap each other; mapped segments come from
  // replaying the mapping records and may enclose heap blocks only when an allocator's own mapping was
  // recorded.
  std::span<const Allocation> recorded() const { return recorded_; }
  // Blocks known from the allocator's own structures alone, sorted by start: 16 bytes each, because a
  // process nobody tracked has nothing else.
  std::span<const Block> untracked() const { return untracked_; }
  // Both by number: first the recorded ones, then the untracked ones.
  std::size_t count() const { return recorded_.size() + untracked_.size(); }
  Allocation allocation(std::size_t number) const;
  std::optional<std::size_t> number_at(Address address) const;  // [start, start+max(size,1)) holds it
  std::optional<Allocation> find(Address address) const;
  // Return addresses, innermost first: CodeAddress::pc is the return address itself (not minus 1),
  // or where a signal arrived (CodeAddress::interrupted). At most kMaxStack frames, also when a
  // damaged depot has a cycle.
  std::vector<CodeAddress> stack(StackId id) const;
  // Of each id up to the largest there is: the one that stands for all stacks with the same frames (the
  // depot may hold a stack twice).
  std::vector<StackId> canonical_stacks() const;
  // An order of canonical stacks: by the addresses of their innermost frames, then by id.
  bool stack_before(StackId a, StackId b) const;
  std::uint32_t tid(const Allocation& allocation) const;  // 0: unknown
  // Age in milliseconds at the moment of reading; nullopt when time was not recorded. In a core the
  // moment is that of the newest entry: nothing in a core says when it was written.
  std::optional<std::uint64_t> age_ms(const Allocation& allocation) const;
  const LedgerCounters& counters() const { return counters_; }

  // Takes in the blocks that the allocator's own structures show at the same stop (sorted by start,
  // usable bytes). What the agent recorded keeps its record; the others become untracked
  // allocations. With `recording` false the agent saw nothing of late: a record stays only where
  // the allocator still has a block that it fits.
  void join_heap(std::vector<Block> used, bool recording);
  std::uint64_t damaged() const { return damaged_; }  // entries that made no sense, skipped
  // Leaves out of the mapped segments what the process has not mapped any more: it was released by a way
  // that is not hooked (a raw system call, a call inside the C library). `now`: all of its mappings.
  void keep_mapped(const Mappings& now);
  std::uint64_t unseen_releases() const { return unseen_releases_; }  // segments, in part or whole
  // Memory that belongs to the ledger: never a root, never a block.
  std::span<const AddressRange> own_memory() const { return own_memory_; }

 private:
  friend class LedgerReader;
  friend class LedgerBuilder;
  void add_mapped(std::span<const Allocation> segments);  // sorted, disjoint
  void find_mapped();

  std::vector<Allocation> recorded_;
  std::vector<Block> untracked_;
  std::vector<std::size_t> mapped_;  // positions of the mapped segments
  std::vector<agent::Node> nodes_;
  std::vector<agent::ThreadRecord> threads_;
  std::vector<AddressRange> own_memory_;
  LedgerCounters counters_;
  std::uint64_t damaged_ = 0;
  std::uint64_t unseen_releases_ = 0;
  std::uint64_t now_ticks_ = 0;
  double ms_per_tick_ = 0;  // 0: no time
};

}  // namespace heapledger
