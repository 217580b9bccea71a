// SPDX-License-Identifier: Apache-2.0
#include "agent/step.h"

namespace heapledger::agent {
namespace {

constexpr uint64_t kFarthestHome = uint64_t{1} << 28;

// struct rt_sigframe without its return address: ucontext_t at sp (Linux, x86-64 ABI).
constexpr uint64_t kContextBp = 0x78, kContextSp = 0xa0, kContextPc = 0xa8;

// Code no rule covers (JIT, hand-written assembly): step by frame pointer when it looks like one.
StepResult step_by_frame_pointer(State* s, StackBounds& bounds, FrameState& state) {
  StepResult lost{Step::lost, false, 0, 0};
  uint64_t bp = state.bp;
  if ((bp & 7) != 0 || bp < state.sp || bp - state.sp > kLargestFrame) return lost;
  // A guess is asked for, not trusted: rbp may be anything.
  if (!bounds.covers(bp) || !bounds.covers(bp + 8) || !sys::readable(bp) || !sys::readable(bp + 8)) {
    return lost;
  }
  uint64_t pc = word_at(bp + 8);
  if (!in_modules(s, pc - 1)) return lost;
  state = {pc, bp + 16, word_at(bp)};
  return {Step::guessed, true, bp, 0};
}

StepResult step_out_of_signal(StackBounds& bounds, FrameState& state, uint8_t incarnation) {
  uint64_t frame = state.sp;
  if (!bounds.covers(frame) || !bounds.covers(frame + kContextPc)) {
    return {Step::lost, false, 0, incarnation};
  }
  state = {word_at(frame + kContextPc), word_at(frame + kContextSp), word_at(frame + kContextBp)};
  bounds.enter(state.sp);
  return {Step::interrupted, false, 0, incarnation};
}

}  // namespace

void StackBounds::enter(uint64_t sp) {
  uint64_t end = thread_ == nullptr ? 0 : decode(thread_->stack_end);
  home_ = end != 0 && sp < end && end - sp < kFarthestHome && reach_home(sp, end);
  if (home_) {
    low_ = sp;
    high_ = end - 7;
    return;
  }
  low_ = high_ = 0;
  extend(sp);
}

// The stack between sp and what is already known of it is one piece of readable memory.
bool StackBounds::reach_home(uint64_t sp, uint64_t end) {
  uint64_t low = decode(thread_->stack_low);
  if (sp >= low && low < end) return true;
  uint64_t page = sp & ~(kPage - 1);
  if (thread_->stack_hole != 0 && sp < decode(thread_->stack_hole)) return false;
  for (uint64_t p = page; p < low; p += kPage) {
    if (sys::readable(p)) continue;
    thread_->stack_hole = encode(p);
    return false;
  }
  thread_->stack_low = encode(page);
  return true;
}

bool StackBounds::extend(uint64_t address) {
  uint64_t page = address & ~(kPage - 1);
  if (address >> kAddressBits != 0 || !sys::readable(page)) return false;
  if (page == ((high_ + kPage - 1) & ~(kPage - 1)) && low_ != 0) {
    high_ = page + kPage - 7;
  } else {
    low_ = page;
    high_ = page + kPage - 7;
  }
  return true;
}

StepResult step_out_specially(State* s, StackBounds& bounds, FrameState& state, Rule rule) {
  StepResult lost{Step::lost, false, 0, rule.incarnation};
  switch (rule.type) {
    case RuleType::end:
      return {Step::outermost, false, 0, rule.incarnation};
    case RuleType::signal:
      return step_out_of_signal(bounds, state, rule.incarnation);
    case RuleType::plt: {
      uint64_t cfa = state.sp + ((state.pc & 15) >= uint64_t(rule.cfa) ? 16 : 8);
      if (!bounds.covers(cfa - 8)) return lost;
      state = {word_at(cfa - 8), cfa, state.bp};
      return {Step::caller, false, 0, rule.incarnation};
    }
    case RuleType::bp_deref: {
      uint64_t slot = state.bp, at = slot + uint64_t(int64_t(rule.cfa));
      if (((at | slot) & 7) != 0 || at < state.sp || slot < state.sp || !bounds.covers(at) ||
          !bounds.covers(slot)) {
        return lost;
      }
      uint64_t cfa = word_at(at);
      if ((cfa & 7) != 0 || cfa - state.sp - 1 >= kLargestFrame || !bounds.covers(cfa - 8)) return lost;
      state = {word_at(cfa - 8), cfa, word_at(slot)};
      return {Step::caller, true, slot, rule.incarnation};
    }
    default: {
      StepResult guess = step_by_frame_pointer(s, bounds, state);
      guess.incarnation = rule.incarnation;
      return guess;
    }
  }
}

}  // namespace heapledger::agent
