// SPDX-License-Identifier: Apache-2.0
//
// The hooks: what runs in the inferior when the program calls its allocator.
//
// The agent's laws
//  1. Async-signal-safe: no libc, no C++ runtime, no ELF TLS, no locks; no system call but to grow
//     memory and to meet a new thread. General registers only; errno is left alone.
//  2. Free of deadlock whatever happens to a thread: interrupted by a handler that allocates, killed,
//     forked, stopped by a debugger that calls malloc by hand. Nobody waits for anybody.
//  3. Readable at any instruction: fill, then publish.
//  4. A release is recorded before the real one, an allocation after it; then the allocator's own
//     order makes plain stores right across threads. A realloc takes the entry first and puts it back
//     when it fails.
//  5. Nested entries (calloc -> malloc, malloc -> mmap) count once, with the outermost kind.
//  6. No word stored here equals a block's address (protocol.h).
//  7. Out of memory: new blocks are dropped and counted, releases are still recorded.
//  8. A hook keeps nothing outside its own stack frame that must be undone: longjmp, exceptions and
//     killed threads leave nothing unbalanced. `busy` is a stack address and goes stale by itself.
//  9. No C++ exception passes a frame of ours: operator new is noted and jumped to, never called.
#include "agent/hook.h"
#include "agent/slots.h"

namespace heapledger::agent {
namespace {

constexpr uint64_t kMaxSize = (uint64_t{1} << kSizeBits) - 1;
constexpr uint64_t kNoteReach = 64;  // operator delete may keep a small frame around free

bool is_release(Kind kind) { return kind >= Kind::free; }

// What operator new or delete left for the malloc or free inside it.
bool has_note(const Thread* t, bool release) {
  return t->note_kind != 0 && is_release(Kind(t->note_kind)) == release;
}

// One allocating call: entered before the real one, recorded after.
class AllocationCall {
 public:
  AllocationCall(const Site* site, const uint64_t* frame) : site_(site), frame_(frame) {
    first_call();
    state_ = state();
    thread_ = this_thread(state_);
    if (thread_ == nullptr) return;
    uint64_t busy = thread_->busy;
    if (__builtin_expect(busy != 0, 0)) {
      Nesting nesting = nesting_of(state_, thread_, caller_of(frame), busy);
      uint64_t sp = reinterpret_cast<uint64_t>(frame);
      nested_ = nesting == Nesting::nested ||
                (nesting == Nesting::unknown && sp < busy && busy - sp < kNearby);
      outer_ = nested_ || nesting == Nesting::signal ? busy : 0;  // else: abandoned, taken over
    }
    if (nested_) return;
    outer_kind_ = outer_ == 0 ? 0 : thread_->in_flight_kind;
    thread_->busy = reinterpret_cast<uint64_t>(frame);
    thread_->in_flight_kind = site->kind;
  }

  bool nested() const { return nested_; }
  Thread* thread() const { return thread_; }
  State* ledger() const { return state_; }

  // The real call returned (null: it failed). Must be called once.
  void done(void* block, uint64_t size) {
    if (nested_) return;
    if (block != nullptr) record(reinterpret_cast<uint64_t>(block), size);
    leave();
  }
  void leave() {
    if (nested_ || thread_ == nullptr) return;
    thread_->in_flight_kind = outer_kind_;
    thread_->busy = outer_;
  }

 private:
  // Kind and size the program asked for: operator new's where this malloc is inside one.
  void take_note(const FrameState& caller, Entry& e) {
    if (!has_note(thread_, false)) return;
    uint64_t slot = decode(thread_->note_slot);
    uint64_t own = caller.sp - 8;
    bool ours = slot == own ? caller.pc == thread_->note_return
                            : slot > own && returns_through(state_, thread_, caller, slot,
                                                            thread_->note_return);
    if (!ours) return;
    e.kind = Kind(thread_->note_kind);
    // What malloc was asked for is that size or a little more; much more is a pool's chunk.
    uint64_t asked = thread_->note_size < kMaxSize ? thread_->note_size : kMaxSize;
    Kind inner = Kind(site_->kind);
    bool aligned = inner == Kind::aligned_alloc || inner == Kind::memalign ||
                   inner == Kind::posix_memalign;
    uint64_t more = aligned ? kPage - 1 : asked == 0 ? 1 : 0;
    if (e.size >= asked && e.size - asked <= more) e.size = asked;
    thread_->note_kind = 0;
  }

  void record(uint64_t address, uint64_t size) {
    FrameState caller = caller_of(frame_);
    Entry e{.valid = true, .upper = false, .kind = Kind(site_->kind), .truncated = false,
            .incarnation = 0, .size = size < kMaxSize ? size : kMaxSize, .stack = 0, .thread = 0,
            .time = now(state_)};
    if (thread_ != nullptr) {
      take_note(caller, e);
      e.thread = thread_->index;
      ++thread_->allocations;
      thread_->bytes += e.size;
    } else {
      count(state_->other_allocations);
      __atomic_fetch_add(&state_->other_bytes, size, __ATOMIC_RELAXED);
    }
    if ((state_->flags & kRecordStacks) != 0) {
      StackCapture stack = capture_stack(state_, thread_, caller);
      e.stack = stack.node;
      e.truncated = stack.truncated;
    }
    if (!slot_insert(state_, address, pack(e))) count(state_->dropped);
  }

  const Site* site_;
  const uint64_t* frame_;
  State* state_;
  Thread* thread_ = nullptr;
  uint64_t outer_ = 0;
  uint32_t outer_kind_ = 0;
  bool nested_ = false;
};

// Mutants (tests/mutants) break law 4 on purpose; a test has to notice within seconds.
[[maybe_unused]] void widen_the_window() {
  for (int i = 0; i < 2000; ++i) asm volatile("pause");
}

bool released_by(Kind allocation, Kind release) {
  switch (allocation) {
    case Kind::operator_new: return release == Kind::operator_delete;
    case Kind::operator_new_array: return release == Kind::operator_delete_array;
    default: return release != Kind::operator_delete && release != Kind::operator_delete_array;
  }
}

// A release in progress: in flight from before its record until the real call is over, and busy so
// that munmap inside free is the allocator's own.
class ReleaseCall {
 public:
  ReleaseCall(Thread* t, const Site* site, const uint64_t* frame) : thread_(t) {
    if (t == nullptr) return;
    outer_ = t->busy;
    outer_kind_ = t->in_flight_kind;
    t->busy = reinterpret_cast<uint64_t>(frame);
    publish(t->in_flight_kind, site->kind);
  }
  ~ReleaseCall() {
    if (thread_ == nullptr) return;
    thread_->in_flight_kind = outer_kind_;
    thread_->busy = outer_;
  }
  ReleaseCall(const ReleaseCall&) = delete;
  ReleaseCall& operator=(const ReleaseCall&) = delete;

 private:
  Thread* thread_;
  uint64_t outer_ = 0;
  uint32_t outer_kind_ = 0;
};

Kind outermost_release(State* s, Thread* t, const Site* site, const uint64_t* frame) {
  if (t == nullptr || !has_note(t, true)) return Kind(site->kind);
  uint64_t own = reinterpret_cast<uint64_t>(frame + 1);
  uint64_t slot = decode(t->note_slot);
  Kind kind = Kind(t->note_kind);
  t->note_kind = 0;
  bool ours = slot == own ? frame[1] == t->note_return
                          : slot > own && slot - own <= kNoteReach &&
                                returns_through(s, t, caller_of(frame), slot, t->note_return);
  return ours ? kind : Kind(site->kind);
}

void record_release(State* s, Thread* t, const Site* site, const uint64_t* frame, void* block) {
  Kind release = outermost_release(s, t, site, frame);
  Taken taken = slot_take(s, reinterpret_cast<uint64_t>(block));
  if (t == nullptr) return count(s->other_releases);
  if (!taken.found) {
    ++t->unknown_releases;
    return;
  }
  ++t->releases;
  if (!released_by(unpack(taken.slot).kind, release)) ++t->mismatched;
}

// realloc and reallocarray: the entry is taken first; a failed call puts it back as it was.
class Reallocation {
 public:
  Reallocation(AllocationCall& call, void* old) : call_(call), old_(reinterpret_cast<uint64_t>(old)) {
    if (old_ == 0 || call.nested()) return;
#ifdef HEAPLEDGER_MUTANT_REALLOC_LATE
    return;
#endif
    taken_ = slot_take(call.ledger(), old_);
    Thread* t = call.thread();
    if (t == nullptr || !taken_.found) return;
    t->in_flight_slot = taken_.slot;
    publish(t->in_flight_block, encode(old_));
  }
  void done(void* block, uint64_t size) {
    if (call_.nested()) return;
#ifdef HEAPLEDGER_MUTANT_REALLOC_LATE
    widen_the_window();
    if (old_ != 0 && block != nullptr) taken_ = slot_take(call_.ledger(), old_);
#endif
    Thread* t = call_.thread();
    bool released = block != nullptr || size == 0;  // realloc(p, 0) may free and return null
    if (old_ != 0 && !released && taken_.found) slot_insert(call_.ledger(), old_, taken_.slot);
    if (t != nullptr) {
      t->in_flight_block = 0;
      if (old_ != 0 && released) ++(taken_.found ? t->releases : t->unknown_releases);
    }
    call_.done(block, size);
  }

 private:
  AllocationCall& call_;
  uint64_t old_;
  Taken taken_;
};

}  // namespace

HOOK void* hook_malloc(uint64_t size, const Site* site) {
  auto real = original<void* (*)(uint64_t)>(site);
  if (!active()) return real(size);
  AllocationCall call(site, CALLER_FRAME());
  void* block = real(size);
  call.done(block, size);
  return block;
}

HOOK void* hook_calloc(uint64_t number, uint64_t size, const Site* site) {
  auto real = original<void* (*)(uint64_t, uint64_t)>(site);
  if (!active()) return real(number, size);
  AllocationCall call(site, CALLER_FRAME());
  void* block = real(number, size);
  call.done(block, number * size);  // no overflow: the real call succeeded
  return block;
}

HOOK void* hook_realloc(void* old, uint64_t size, const Site* site) {
  auto real = original<void* (*)(void*, uint64_t)>(site);
  if (!active()) return real(old, size);
  AllocationCall call(site, CALLER_FRAME());
  Reallocation change(call, old);
  void* block = real(old, size);
  change.done(block, size);
  return block;
}

HOOK void* hook_reallocarray(void* old, uint64_t number, uint64_t size, const Site* site) {
  auto real = original<void* (*)(void*, uint64_t, uint64_t)>(site);
  if (!active()) return real(old, number, size);
  AllocationCall call(site, CALLER_FRAME());
  Reallocation change(call, old);
  void* block = real(old, number, size);
  uint64_t bytes;
  bool overflow = __builtin_mul_overflow(number, size, &bytes);
  change.done(block, overflow ? kMaxSize : bytes);
  return block;
}

HOOK void* hook_aligned(uint64_t alignment, uint64_t size, const Site* site) {
  auto real = original<void* (*)(uint64_t, uint64_t)>(site);
  if (!active()) return real(alignment, size);
  AllocationCall call(site, CALLER_FRAME());
  void* block = real(alignment, size);
  call.done(block, size);
  return block;
}

HOOK int hook_posix_memalign(void** out, uint64_t alignment, uint64_t size, const Site* site) {
  auto real = original<int (*)(void**, uint64_t, uint64_t)>(site);
  if (!active()) return real(out, alignment, size);
  AllocationCall call(site, CALLER_FRAME());
  int error = real(out, alignment, size);
  call.done(error == 0 ? *out : nullptr, size);
  return error;
}

HOOK void hook_free(void* block, uint64_t a, uint64_t b, const Site* site) {
  auto real = original<void (*)(void*, uint64_t, uint64_t)>(site);
  if (block == nullptr || !active()) return real(block, a, b);
  first_call();
  State* s = state();
  Thread* t = this_thread(s);
  const uint64_t* frame = CALLER_FRAME();
  ReleaseCall call(t, site, frame);
#ifdef HEAPLEDGER_MUTANT_FREE_FIRST
  real(block, a, b);
  widen_the_window();
  record_release(s, t, site, frame, block);
#else
  record_release(s, t, site, frame, block);
  real(block, a, b);
#endif
}

// From hook_note (thunks.S), which then jumps to the real operator new or delete. `size`: its first
// argument, of a new the bytes asked for.
HOOK void heapledger_note(const Site* site, uint64_t slot, uint64_t size) {
  if (!active()) return;
  first_call();
  Thread* t = this_thread(state());
  if (t == nullptr) return;
  if (is_release(Kind(site->kind))) {
    if (size == 0) {  // deleting null calls no free
      t->note_kind = 0;
      return;
    }
    size = 0;  // law 6: it is the block's address
  }
  uint64_t back = word_at(slot);
  // new[] that jumps on to new, delete(p, n) to delete(p): the outer one is meant.
  if (t->note_kind != 0 && decode(t->note_slot) == slot && t->note_return == back &&
      is_release(Kind(t->note_kind)) == is_release(Kind(site->kind))) {
    return;
  }
  t->note_kind = 0;
  t->note_slot = encode(slot);
  t->note_return = back;
  t->note_size = size;
  publish(t->note_kind, site->kind);
}

}  // namespace heapledger::agent
