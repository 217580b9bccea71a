// SPDX-License-Identifier: Apache-2.0
//
// The table of outstanding allocations as a debugger's stops tell it: a stop at the entry of an
// allocator's function, and one where its call returns. What the agent does inside the inferior
// (agent/hooks.cc) is done here on the debugger's side, by the same laws: a release is recorded before
// the real one, an allocation after it; a realloc takes the entry and puts it back when it fails;
// nested calls (calloc -> malloc -> mmap, free -> munmap) are the allocator's own; operator new and
// delete only note their kind, and the malloc or free inside takes it over.
//
// Calls are matched with their returns by thread and stack pointer. A call that never returns (an
// exception, longjmp, a thread's end) is found to be abandoned when its thread calls again from a
// frame that does not lie below it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "agent/protocol.h"
#include "inferior/memory.h"
#include "inferior/target.h"
#include "tracking/ledger.h"
#include "tracking/mapping_log.h"
#include "tracking/stack_table.h"

namespace heapledger {

// What the recorder asks about the process at a stop.
class CallWorld {
 public:
  virtual ~CallWorld() = default;
  virtual const Memory& memory() = 0;
  // As Target::call_stack, with incarnations.
  virtual std::vector<CodeAddress> call_stack(std::uint64_t tid) = 0;
  // Bytes of the mapping that begins there; 0: unknown.
  virtual std::uint64_t mapping_size(Address begin) = 0;
  virtual std::uint64_t milliseconds() = 0;  // since tracking began
};

class CallRecorder {
 public:
  CallRecorder(CallWorld& world, bool stacks) : world_(world), stacks_(stacks) {}

  // A thread is at the first instruction of an entry point. Returns the address where its result must
  // be seen; nullopt: nothing more is to be seen of this call.
  std::optional<Address> entered(agent::Kind kind, agent::Shape shape, const WatchedStop& stop);
  // A thread came to an address that entered() returned; other ways there lead to nothing.
  void returned(const WatchedStop& stop);
  // The return of the call that `tid` entered last cannot be seen.
  void unseen_return(std::uint64_t tid);
  // Calls in progress in other threads are no longer.
  void keep_threads(const std::set<std::uint64_t>& tids);

  Ledger ledger();

 private:
  using Kind = agent::Kind;
  using Shape = agent::Shape;

  struct Call {  // in progress
    Kind kind;
    Shape shape;
    Address function;
    Address sp;    // where its return address lies
    Address back;  // its return address
    std::uint64_t size = 0;
    Address subject = 0;              // realloc: the old block; posix_memalign: where the result goes
    std::optional<Allocation> taken;  // realloc: the old block's entry
    std::optional<MappingLog::EventId> event;  // what a mapping call releases
  };
  // operator new or delete, until the malloc or free inside has taken it over.
  struct Note {
    Kind kind = Kind::none;
    Address sp = 0, back = 0;
    std::uint64_t argument = 0;  // new: bytes asked for; delete: the block
  };
  struct Release {  // the last free: what lies below it may be its own munmap
    Address sp = 0, back = 0;
  };
  struct Thread {
    std::uint16_t index = 0;
    std::vector<Call> calls;  // outermost first; the later ones run in signal handlers
    Note note;
    Release release;
  };

  Thread& thread_of(std::uint64_t tid);
  bool is_nested(Thread& thread, const Call& call, std::uint64_t tid);
  bool stands_below(const Call& call, Address sp, Address back);
  void note(Thread& thread, const Call& call, std::uint64_t argument);
  void release(Thread& thread, const Call& call, Address block);
  void begin(Call& call, const WatchedStop& stop);
  void end_mapping(Thread& thread, const Call& call, const WatchedStop& stop);
  void end_realloc(const Call& call, Address block);
  void record(Thread& thread, const Call& call, const WatchedStop& stop, Address block);
  void take_note(Thread& thread, const Call& call, std::span<const CodeAddress> stack,
                 Allocation& allocation);
  Allocation made_now(const Thread& thread, const Call& call, std::span<const CodeAddress> stack);
  void insert(const Allocation& allocation);
  // The start of a block that overlaps that place.
  std::optional<Address> block_in(const Block& place) const;
  std::optional<Allocation> take(Address block);

  CallWorld& world_;
  bool stacks_;
  StackTable stack_table_;
  std::map<Address, Allocation> blocks_;
  MappingLog mappings_;
  std::unordered_map<std::uint64_t, Thread> threads_;
  std::vector<std::uint32_t> tids_ = std::vector<std::uint32_t>(1);
  LedgerCounters counters_;
};

}  // namespace heapledger
