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

// The rarer rules: signal frames, PLT stubs, realigned frames, code without rules.
StepResult step_out_specially(State* s, StackBounds& bounds, FrameState& state, Rule rule);

inline constexpr uint64_t kLargestFrame = uint64_t{64} << 20;  // a CFA further away is damage

// `key`: as find_rule takes it, for state.pc.
__attribute__((always_inline)) inline StepResult step_out(State* s, StackBounds& bounds,
                                                          FrameState& state, uint64_t key) {
  Rule rule = find_rule(s, key);
  if (__builtin_expect(rule.type != RuleType::sp && rule.type != RuleType::bp, 0)) {
    return step_out_specially(s, bounds, state, rule);
  }
  bool used_bp = rule.type == RuleType::bp;
  uint64_t cfa = (used_bp ? state.bp : state.sp) + uint64_t(int64_t(rule.cfa));
  uint64_t slot = cfa + 8 * int64_t(rule.bp);
  // Unsigned: a CFA at or below sp is out of range as well.
  if ((cfa & 7) != 0 || cfa - state.sp - 1 >= kLargestFrame || !bounds.covers(cfa - 8) ||
      (rule.bp != 0 && (slot < state.sp || !bounds.covers(slot)))) {
    return {Step::lost, false, 0, rule.incarnation};
  }
  state.pc = word_at(cfa - 8);
  state.sp = cfa;
  if (rule.bp == 0) return {Step::caller, used_bp, 0, rule.incarnation};
  state.bp = word_at(slot);
  return {Step::caller, used_bp, slot, rule.incarnation};
}

}  // namespace heapledger::agent
