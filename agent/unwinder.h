// SPDX-License-Identifier: Apache-2.0
//
// Call stacks inside the inferior: rules per pc, and exact reuse of the thread's previous stack.
//
// The state of a frame is (pc, sp, bp). Its caller's state follows from it, the rule of pc (which
// does not change), the word at CFA - 8, and the word bp was saved in. So when a frame of the last
// stack has the same state, and those words still hold what they held, every outer frame is unchanged
// by induction: two loads a frame instead of a rule lookup. Nothing in the program is modified.
//
// bp is compared only where some outer frame computes its CFA from it ("live"); otherwise a loop
// counter kept in rbp would defeat the reuse.
#pragma once

#include "agent/system.h"

namespace heapledger::agent {

struct FrameState {
  uint64_t pc;
  uint64_t sp;
  uint64_t bp;
};

struct StackCapture {
  uint32_t node = 0;       // depot id; 0: no stack
  bool truncated = false;  // outer frames are missing or were guessed
};

// The stack of the call that will return to `start`. Thread may be null (no reuse, few frames).
StackCapture capture_stack(State* s, Thread* t, FrameState start);

// Is this call made by one of our own hooks' real calls (calloc -> malloc, malloc -> mmap)? Looks for
// a return address in our image among the innermost frames up to `limit` (a stack address, 0: the
// innermost 32 frames), and stops at a signal frame: a handler's calls are its own. unknown: the frames
// in between cannot be unwound.
enum class Nesting { independent, nested, signal, unknown };
Nesting nesting_of(State* s, Thread* t, FrameState start, uint64_t limit);

// Is the return address `pc` at stack slot `slot` one of the innermost frames of `start`'s stack?
bool returns_through(State* s, Thread* t, FrameState start, uint64_t slot, uint64_t pc);

}  // namespace heapledger::agent
