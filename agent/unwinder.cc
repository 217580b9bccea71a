// SPDX-License-Identifier: Apache-2.0
#include "agent/unwinder.h"

#include "agent/depot.h"
#include "agent/step.h"

namespace heapledger::agent {
namespace {

constexpr uint64_t kBpLive = 1, kWasInterrupted = 2;
constexpr uint64_t kPcMask = (uint64_t{1} << 48) - 1;
constexpr unsigned kNestingFrames = 32;
constexpr unsigned kHandlerFrames = 4096;  // of a handler, down to what it interrupted
constexpr uint64_t kWalkStack = 4096;      // more than a walk takes

uint64_t bp_address(const StackFrame& f) { return f.bp_slot & ~uint64_t{7}; }
bool bp_is_live(const StackFrame& f) { return (f.bp_slot & kBpLive) != 0; }
bool was_interrupted(const StackFrame& f) { return (f.bp_slot & kWasInterrupted) != 0; }
uint64_t raw_pc(const StackFrame& f) { return f.pc & kPcMask; }

// Where a walk keeps its frames: `kept` of the previous stack (outermost first) and `fresh` ones
// (innermost first), which `settle` then turns into the new previous stack.
struct Scratch {
  StackFrame* frames;
  StackFrame* fresh;
  uint32_t capacity;
};

struct Walk {
  uint32_t kept = 0;
  uint32_t fresh = 0;
  bool truncated = false;
};

// Is `f`, a frame of the previous stack, in the very state `now`?
bool same_state(const StackFrame& f, const FrameState& now, bool interrupted) {
  return raw_pc(f) == now.pc && was_interrupted(f) == interrupted &&
         (f.bp == now.bp || !bp_is_live(f));
}

// frames[top] is proven. How many of the frames outside of it still hold? Returns the index of the
// innermost one that does not, plus one; 0: all hold.
uint32_t first_changed(const StackFrame* frames, uint32_t top) {
  for (uint32_t i = top; i-- > 0;) {
    const StackFrame& f = frames[i];
    if (was_interrupted(f) || word_at(f.sp - 8) != raw_pc(f)) return i + 1;
    if (bp_is_live(f) && bp_address(f) != 0 && word_at(bp_address(f)) != f.bp) return i + 1;
  }
  return 0;
}

Walk walk_stack(State* s, StackBounds& bounds, const Scratch& scratch, uint32_t old_count,
                FrameState now) {
  Walk walk;
  uint32_t old = old_count;
  uint32_t hopeless = old_count;  // frames from this index inwards lead to one that has changed
  bool interrupted = false;
  uint64_t bp_slot = 0;
  for (;;) {
    while (old > 0 && scratch.frames[old - 1].sp < now.sp) --old;
    if (old > 0 && old <= hopeless && scratch.frames[old - 1].sp == now.sp &&
        same_state(scratch.frames[old - 1], now, interrupted) &&
        bounds.covers(scratch.frames[0].sp - 8)) {
      uint32_t changed = first_changed(scratch.frames, old - 1);
      if (changed == 0) {  // this frame and all outside of it
        StackFrame& top = scratch.frames[old - 1];
        top.bp = now.bp;  // a dead bp may differ
        top.bp_slot = bp_slot | (top.bp_slot & 7);  // the frame inside of it is another one now
        walk.kept = old;
        return walk;
      }
      hopeless = changed;
    }
    if (walk.fresh == scratch.capacity) {
      walk.truncated = true;
      return walk;
    }
    StackFrame& f = scratch.fresh[walk.fresh++];
    f.pc = now.pc;
    f.sp = now.sp;
    f.bp = now.bp;
    f.bp_slot = bp_slot | (interrupted ? kWasInterrupted : 0);
    StepResult r = step_out(s, bounds, now, now.pc | (interrupted ? kInterrupted : 0));
    f.pc |= uint64_t(r.incarnation) << 48;
    f.hash = r.used_bp ? 1 : 0;
    bp_slot = r.bp_slot;
    interrupted = r.step == Step::interrupted;
    if (r.step == Step::outermost) return walk;
    if (r.step == Step::guessed) walk.truncated = true;
    if (r.step == Step::lost) {
      walk.truncated = true;
      return walk;
    }
  }
}

// Appends the fresh frames, outermost first, with their hashes and liveness. Returns the new count.
uint32_t settle(const Scratch& scratch, Walk& walk) {
  uint32_t n = walk.kept;
  if (n + walk.fresh > scratch.capacity) {  // keep the innermost frames
    n = 0;
    walk.truncated = true;
  }
  uint64_t hash = n == 0 ? kEmptyStack : scratch.frames[n - 1].hash;
  bool outer_live = n > 0 && bp_is_live(scratch.frames[n - 1]);
  bool outer_loads = n > 0 && bp_address(scratch.frames[n - 1]) != 0;
  for (uint32_t i = walk.fresh; i-- > 0; ++n) {
    StackFrame f = scratch.fresh[i];
    bool live = f.hash != 0 || (outer_live && !outer_loads);
    f.hash = hash = mix(hash, f.pc ^ (was_interrupted(f) ? kInterrupted : 0));
    f.bp_slot |= live ? kBpLive : 0;
    scratch.frames[n] = f;
    outer_live = live;
    outer_loads = bp_address(f) != 0;
  }
  return n;
}

uint32_t intern(State* s, Thread* t, const StackFrame* frames, uint32_t n) {
  if (n == 0) return 0;
  uint64_t hash = frames[n - 1].hash;
  if (t != nullptr && t->last_hash == hash) return t->last_node;
  uint32_t node = depot_intern(s, frames, n);
  if (node == 0) {
    count(s->dropped_stacks);
  } else if (t != nullptr) {
    t->last_node = 0;  // a signal between the two stores must not pair them wrongly
    publish(t->last_hash, uint64_t{0});
    t->last_node = node;
    publish(t->last_hash, hash);
  }
  return node;
}

// A walk without reuse in memory that no other walk uses. Interrupted walks keep their frames.
StackCapture capture_alone(State* s, Thread* t, StackFrame* memory, uint32_t capacity,
                           FrameState start) {
  Scratch scratch{memory, memory + capacity / 2, capacity / 2};
  StackBounds bounds(t, start.sp);
  Walk walk = walk_stack(s, bounds, scratch, 0, start);
  uint32_t n = settle(scratch, walk);
  return {intern(s, nullptr, scratch.frames, n), walk.truncated};
}

// Where reuse of frames learned under other modules would be wrong: code has come or gone since.
uint32_t reusable_frames(State* s, Thread* t) {
  const ModuleTable* table = reinterpret_cast<const ModuleTable*>(load(s->modules));
  uint32_t generation = table == nullptr ? 0 : table->generation;
  uint32_t n = t->generation == generation ? t->frame_count : 0;
#ifdef HEAPLEDGER_MUTANT_IGNORE_GENERATION
  n = t->frame_count;
#endif
  t->generation = generation;
  return n;
}

StackCapture capture_reusing(State* s, Thread* t, FrameState start) {
  Scratch scratch{t->frames, t->fresh, kMaxFrames};
  uint32_t old_count = reusable_frames(s, t);
  t->frame_count = 0;  // nothing to reuse if this walk is abandoned
  StackBounds bounds(t, start.sp);
  Walk walk = walk_stack(s, bounds, scratch, old_count, start);
  uint32_t kept = walk.kept;
  uint32_t n = settle(scratch, walk);
  t->frames_reused += kept;
  t->frames_walked += walk.fresh;
  if (!walk.truncated) publish(t->frame_count, n);
  return {intern(s, t, scratch.frames, n), walk.truncated};
}

bool on_home_stack(const Thread* t, uint64_t address) {
  uint64_t end = decode(t->stack_end);
  return address < end && address >= decode(t->stack_low) - (uint64_t{1} << 20);
}

// Was the walk at stack address `walk` interrupted by the signal handler that `now` runs in? Then the
// handler's frame returns into it. One that was abandoned (siglongjmp out of a handler) is met by nobody,
// and is taken over. Where that cannot be told the walk is left its memory.
bool in_progress(State* s, Thread* t, uint64_t walk, FrameState now) {
  if (walk == 0) return false;
  StackBounds bounds(t, now.sp);
  bool interrupted = false;
  for (unsigned i = 0; i < kHandlerFrames; ++i) {
    if (now.sp > walk && on_home_stack(t, now.sp) && on_home_stack(t, walk)) return false;
    StepResult r = step_out(s, bounds, now, now.pc | (interrupted ? kInterrupted : 0));
    if (r.step == Step::outermost) return false;
    if (r.step == Step::lost) return true;
    interrupted = r.step == Step::interrupted;
    if (interrupted && in_image(now.pc) && walk - now.sp < kWalkStack) return true;
  }
  return true;
}

__attribute__((noinline)) StackCapture capture_on_stack(State* s, Thread* t, FrameState start) {
  StackFrame memory[16];
  return capture_alone(s, t, memory, 16, start);
}

}  // namespace

StackCapture capture_stack(State* s, Thread* t, FrameState start) {
  if (t == nullptr) return capture_on_stack(s, t, start);
  uint64_t here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  StackCapture result;
  if (!in_progress(s, t, t->walks[0], start)) {
    t->walks[0] = here;
    asm volatile("" ::: "memory");
    result = capture_reusing(s, t, start);
    asm volatile("" ::: "memory");
    t->walks[0] = 0;
  } else if (!in_progress(s, t, t->walks[1], start)) {
    t->walks[1] = here;
    asm volatile("" ::: "memory");
    result = capture_alone(s, t, t->nested, kNestedFrames, start);
    asm volatile("" ::: "memory");
    t->walks[1] = 0;
  } else {
    result = capture_on_stack(s, t, start);
  }
  if (result.truncated) ++t->truncated;
  return result;
}

Nesting nesting_of(State* s, Thread* t, FrameState start, uint64_t limit) {
  // Above the busy hook: it was abandoned, or we are in a handler on another stack that is above.
  if (limit != 0 && start.sp > limit + 16 && t != nullptr &&
      !(on_home_stack(t, start.sp) && on_home_stack(t, limit))) {
    limit = 0;
  }
  StackBounds bounds(t, start.sp);
  FrameState now = start;
  for (unsigned i = 0; i < kNestingFrames && (limit == 0 || now.sp <= limit + 16); ++i) {
    if (in_image(now.pc)) return Nesting::nested;
    StepResult r = step_out(s, bounds, now, now.pc);
    if (r.step == Step::interrupted) return Nesting::signal;
    if (r.step == Step::outermost) break;
    if (r.step == Step::lost) return Nesting::unknown;
  }
  return Nesting::independent;
}

bool returns_through(State* s, Thread* t, FrameState start, uint64_t slot, uint64_t pc) {
  StackBounds bounds(t, start.sp);
  FrameState now = start;
  for (unsigned i = 0; i < 8 && now.sp <= slot + 8; ++i) {
    if (now.sp == slot + 8) return now.pc == pc;
    if (step_out(s, bounds, now, now.pc).step != Step::caller) break;
  }
  return false;
}

}  // namespace heapledger::agent
