// SPDX-License-Identifier: Apache-2.0
//
// One step of the unwinder: from a frame's state to its caller's, reading only stack memory that is
// known or checked to be readable.
#pragma once

#include "agent/rules.h"
#include "agent/unwinder.h"

namespace heapledger::agent {

// Stack memory that may be read. On the thread's own stack that is [sp, stack_end), known without a
// system call; elsewhere (signal stacks, coroutines) each page is asked for once a walk.
class StackBounds {
 public:
  StackBounds(Thread* t, uint64_t sp) : thread_(t) { enter(sp); }

  // The stack pointer moved to another stack (signal frame).
  void enter(uint64_t sp);
  // May the 8 bytes at `address` be read, and can they belong to this stack?
  bool covers(uint64_t address) {
    if (address >= low_ && address < high_) return true;
    return !home_ && extend(address);
  }
  uint64_t low() const { return low_; }

 private:
  bool extend(uint64_t address);
  bool reach_home(uint64_t sp, uint64_t end);

  Thread* thread_;
  uint64_t low_ = 0;
  uint64_t high_ = 0;
  bool home_ = false;
};

enum class Step : uint8_t {
  caller,       // the state is the caller's now
  guessed,      // as caller, by frame pointer: no rule covers the pc
  interrupted,  // the state is of the code a signal interrupted
  outermost,    // there is no caller
  lost,         // the caller cannot be told
};

struct StepResult {
  Step step;
  bool used_bp;       // the CFA was computed from bp
  uint64_t bp_slot;   // where the caller's bp was loaded from; 0: unchanged
  uint8_t incarnation;  // of the module the state's pc was in before the step
};

// `key`: as find_rule takes it, for state.pc.
StepResult step_out(State* s, StackBounds& bounds, FrameState& state, uint64_t key);

}  // namespace heapledger::agent
