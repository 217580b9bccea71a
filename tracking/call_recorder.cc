// SPDX-License-Identifier: Apache-2.0
#include "tracking/call_recorder.h"

#include <algorithm>

#include "tracking/ledger_builder.h"

namespace heapledger {
namespace {

using agent::Kind;
using agent::Shape;

constexpr std::uint64_t kNearby = 4096;  // bytes of stack that an allocator uses itself
constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kMostThreads = 1 << agent::kThreadBits;

bool is_mapping(Shape shape) { return shape >= Shape::mmap; }
bool failed(std::uint64_t result) { return result == ~std::uint64_t{0}; }  // MAP_FAILED, -1

std::uint64_t product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result;
  return __builtin_mul_overflow(a, b, &result) ? ~std::uint64_t{0} : result;
}

// Bytes that are asked for.
std::uint64_t wanted(Shape shape, const WatchedStop& stop) {
  switch (shape) {
    case Shape::malloc_like: return stop.rdi;
    case Shape::calloc_like: return product(stop.rdi, stop.rsi);
    case Shape::realloc_like:
    case Shape::aligned_like:
    case Shape::munmap:
    case Shape::mmap: return stop.rsi;
    case Shape::reallocarray: return product(stop.rsi, stop.rdx);
    case Shape::posix_memalign:
    case Shape::mremap: return stop.rdx;
    default: return 0;
  }
}

bool released_by(Kind allocation, Kind release) {
  switch (allocation) {
    case Kind::operator_new: return release == Kind::operator_delete;
    case Kind::operator_new_array: return release == Kind::operator_delete_array;
    default: return release != Kind::operator_delete && release != Kind::operator_delete_array;
  }
}

// Whether the call that returns to `back` is among the callers, and how the way there looks.
enum class Way { absent, calls, signal };
Way way_to(Address back, std::span<const CodeAddress> stack) {
  bool interrupted = false;
  for (std::size_t i = 1; i < stack.size(); ++i) {
    interrupted = interrupted || stack[i].interrupted;
    if (stack[i].pc == back) return interrupted ? Way::signal : Way::calls;
  }
  return Way::absent;
}

}  // namespace

CallRecorder::Thread& CallRecorder::thread_of(std::uint64_t tid) {
  const auto [entry, is_new] = threads_.try_emplace(tid);
  if (is_new && tids_.size() < kMostThreads) {
    entry->second.index = std::uint16_t(tids_.size());
    tids_.push_back(std::uint32_t(tid));
  }
  return entry->second;
}

std::optional<Address> CallRecorder::entered(Kind kind, Shape shape, const WatchedStop& stop) {
  const auto back = world_.memory().read_value<Address>(stop.sp);
  if (!back) return std::nullopt;  // no stack: the program is about to crash
  Thread& thread = thread_of(stop.tid);
  Call call{kind, shape, stop.pc, stop.sp, *back, wanted(shape, stop)};
  switch (shape) {
    case Shape::new_like:
    case Shape::delete_like:
      note(thread, call, stop.rdi);
      return std::nullopt;
    case Shape::free_like:
      release(thread, call, stop.rdi);
      return std::nullopt;
    default: break;
  }
  if (is_nested(thread, call, stop.tid)) return std::nullopt;
  begin(call, stop);
  thread.calls.push_back(call);
  return call.back;
}

// Inside a call of the same thread that is in progress. Calls that were left in another way than by
// returning are forgotten.
bool CallRecorder::is_nested(Thread& thread, const Call& call, std::uint64_t tid) {
#ifdef HEAPLEDGER_MUTANT_NESTED_COUNTS
  return false;
#endif
  const bool below_release = is_mapping(call.shape) && call.sp < thread.release.sp;
  if (thread.calls.empty() && !below_release) return false;
  const std::vector<CodeAddress> stack = world_.call_stack(tid);
  for (; !thread.calls.empty(); thread.calls.pop_back()) {
    const Call& outer = thread.calls.back();
    if (call.sp == outer.sp) {  // a jump from one to the other, or the same place called again
      if (call.back == outer.back && call.function != outer.function) return true;
      continue;
    }
    const Way way = way_to(outer.back, stack);
    if (way == Way::signal) return false;
    if (way == Way::calls) return true;
    if (stands_below(call, outer.sp, outer.back)) return true;
  }
  return below_release && way_to(thread.release.back, stack) == Way::calls;
}

// For code that cannot be unwound (musl has no call frame information, LLDB 19 loses its way in a
// function with a cold part): a call is in progress as long as its return address is where it was, on
// the stack in use.
bool CallRecorder::stands_below(const Call& call, Address sp, Address back) {
  return call.sp < sp && sp - call.sp < kNearby &&
         world_.memory().read_value<Address>(sp) == back;
}

// new[] that jumps on to new, delete(p, n) to delete(p): the outer one is meant. Deleting null calls
// no free.
void CallRecorder::note(Thread& thread, const Call& call, std::uint64_t argument) {
  Note& note = thread.note;
  const bool deletes = call.shape == Shape::delete_like;
  const bool jumped = note.kind != Kind::none && note.sp == call.sp && note.back == call.back &&
                      (note.kind >= Kind::free) == deletes;
  if (jumped) return;
  note = Note{call.kind, call.sp, call.back, argument};
  if (deletes && argument == 0) note = {};
}

void CallRecorder::release(Thread& thread, const Call& call, Address block) {
  if (block == 0) return;
  Kind kind = call.kind;
  Note& note = thread.note;
  if (note.kind >= Kind::free && note.argument == block && note.sp >= call.sp) {
    kind = std::exchange(note, {}).kind;
  }
  thread.release = {call.sp, call.back};
  // A realloc that frees the old block itself has taken its entry.
  if (!thread.calls.empty() && thread.calls.back().subject == block) return;
  const auto taken = take(block);
  if (!taken) {
    ++counters_.unknown_releases;
    return;
  }
  ++counters_.releases;
  if (!released_by(taken->kind, kind)) ++counters_.mismatched_releases;
}

void CallRecorder::begin(Call& call, const WatchedStop& stop) {
  switch (call.shape) {
    case Shape::realloc_like:
    case Shape::reallocarray:
      call.subject = stop.rdi;
      if (call.subject != 0) call.taken = take(call.subject);
      break;
    case Shape::posix_memalign: call.subject = stop.rdi; break;
    case Shape::munmap:
    case Shape::mremap:
      call.event = mappings_.unmap({stop.rdi, stop.rdi + stop.rsi});
      break;
    case Shape::shmdt: call.event = mappings_.detach(stop.rdi); break;
    default: break;
  }
}

void CallRecorder::returned(const WatchedStop& stop) {
  Thread& thread = thread_of(stop.tid);
  const auto found = std::find_if(thread.calls.rbegin(), thread.calls.rend(), [&](const Call& c) {
    return c.back == stop.pc && c.sp + sizeof(Address) == stop.sp;
  });
  if (found == thread.calls.rend()) return;
  const Call call = *found;
  thread.calls.erase(found.base() - 1, thread.calls.end());
  if (is_mapping(call.shape)) return end_mapping(thread, call, stop);
  Address block = stop.rax;
  if (call.shape == Shape::posix_memalign) {
    const bool succeeded = std::uint32_t(stop.rax) == 0;
    block = succeeded ? world_.memory().read_value<Address>(call.subject).value_or(0) : 0;
  } else if (call.subject != 0) {
    end_realloc(call, block);
  }
  if (block != 0) record(thread, call, stop, block);
}

void CallRecorder::end_realloc(const Call& call, Address block) {
  const bool released = block != 0 || call.size == 0;  // realloc(p, 0) may free and return null
  if (released) {
    ++(call.taken ? counters_.releases : counters_.unknown_releases);
#ifndef HEAPLEDGER_MUTANT_REALLOC_LOST
  } else if (call.taken) {
    insert(*call.taken);
#endif
  }
}

void CallRecorder::end_mapping(Thread& thread, const Call& call, const WatchedStop& stop) {
  const bool returns_int = call.shape == Shape::munmap || call.shape == Shape::shmdt;
  const bool refused = returns_int ? std::uint32_t(stop.rax) != 0 : failed(stop.rax);
  if (refused) {
    if (call.event) mappings_.take_back(*call.event);
    return;
  }
  if (returns_int) return;
  const std::uint64_t size =
      call.shape == Shape::shmat ? world_.mapping_size(stop.rax) : call.size;
  const auto stack = stacks_ ? world_.call_stack(stop.tid) : std::vector<CodeAddress>();
  mappings_.map({stop.rax, stop.rax + size}, made_now(thread, call, stack));
}

void CallRecorder::record(Thread& thread, const Call& call, const WatchedStop& stop,
                          Address block) {
  const bool wants_stack = stacks_ || (thread.note.kind != Kind::none && thread.note.sp > call.sp);
  const auto stack = wants_stack ? world_.call_stack(stop.tid) : std::vector<CodeAddress>();
  Allocation allocation =
      made_now(thread, call, stacks_ ? std::span(stack) : std::span<const CodeAddress>());
  allocation.block = {block, call.size};
  take_note(thread, call, stack, allocation);
  ++counters_.allocations;
  counters_.bytes += allocation.block.size;
  insert(allocation);
}

// Kind and size the program asked for: operator new's where this malloc is inside one. What malloc is
// asked for is that size or a little more; much more is a pool's chunk.
void CallRecorder::take_note(Thread& thread, const Call& call, std::span<const CodeAddress> stack,
                             Allocation& allocation) {
  Note& note = thread.note;
  if (note.kind == Kind::none || note.kind >= Kind::free) return;
  const bool aligned = call.kind == Kind::aligned_alloc || call.kind == Kind::memalign ||
                       call.kind == Kind::posix_memalign;
  const std::uint64_t more = aligned ? kPage - 1 : note.argument == 0 ? 1 : 0;
  const bool asked = call.size >= note.argument && call.size - note.argument <= more;
  const bool ours = note.sp == call.sp
                        ? note.back == call.back
                        : (note.sp > call.sp && way_to(note.back, stack) == Way::calls) ||
                              (asked && stands_below(call, note.sp, note.back));
  if (!ours) return;
  allocation.kind = note.kind;
  if (asked) allocation.block.size = note.argument;
  note = {};
}

Allocation CallRecorder::made_now(const Thread& thread, const Call& call,
                                  std::span<const CodeAddress> stack) {
  Allocation allocation;
  allocation.kind = call.kind;
  allocation.thread = thread.index;
  allocation.time = std::uint32_t(world_.milliseconds());
  allocation.stack = stack_table_.intern(stack);
  return allocation;
}

// Two live blocks cannot overlap: of an older one there, the release was not seen.
void CallRecorder::insert(const Allocation& allocation) {
  while (const auto overlapped = block_in(allocation.block)) blocks_.erase(*overlapped);
  blocks_.emplace(allocation.block.start, allocation);
}

std::optional<Address> CallRecorder::block_in(const Block& place) const {
  const auto after = blocks_.lower_bound(place.start + std::max<std::uint64_t>(place.size, 1));
  if (after == blocks_.begin()) return std::nullopt;
  const Block& last = std::prev(after)->second.block;
  const bool overlaps = last.start >= place.start || last.range().end > place.start;
  return overlaps ? std::optional(last.start) : std::nullopt;
}

std::optional<Allocation> CallRecorder::take(Address block) {
  const auto found = blocks_.find(block);
  if (found == blocks_.end()) return std::nullopt;
  const Allocation allocation = found->second;
  blocks_.erase(found);
  return allocation;
}

void CallRecorder::unseen_return(std::uint64_t tid) {
  Thread& thread = thread_of(tid);
  if (thread.calls.empty()) return;
  ++(is_mapping(thread.calls.back().shape) ? counters_.dropped_mappings : counters_.dropped);
  counters_.returns_missed = true;
  thread.calls.pop_back();
}

void CallRecorder::keep_threads(const std::set<std::uint64_t>& tids) {
  std::erase_if(threads_, [&](const auto& entry) { return !tids.contains(entry.first); });
}

Ledger CallRecorder::ledger() {
  LedgerBuilder builder;
  for (const auto& [address, allocation] : blocks_) builder.heap_block(allocation);
  LedgerCounters counters = counters_;
  for (const auto& [tid, thread] : threads_) {
    counters.in_flight += thread.calls.size();
    for (const Call& call : thread.calls) {
      if (!call.taken || block_in(call.taken->block)) continue;  // somebody else's by now
      Allocation old = *call.taken;
      old.in_flight = true;
      builder.heap_block(old);
    }
  }
  builder.mappings(mappings_.events(), mappings_.made_by());
  builder.stacks(stack_table_.nodes());
  builder.threads(tids_);
  builder.counters(counters);
  builder.now(world_.milliseconds());
  return builder.build();
}

}  // namespace heapledger
