// SPDX-License-Identifier: Apache-2.0
#include "tracking/breakpoint_tracker.h"

#include <algorithm>
#include <set>

namespace heapledger {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

BreakpointTracker::BreakpointTracker(Target& target, TargetControl& control, const CodeMap& code,
                                     bool stacks)
    : target_(target), control_(control), code_(code), recorder_(*this, stacks),
      start_(Clock::now()) {}

BreakpointTracker::~BreakpointTracker() { stop(); }

Result<void> BreakpointTracker::watch(const HookRequest& request) {
  const auto [entry, is_new] =
      entries_.try_emplace(request.function, Entry{request.kind, request.shape});
  if (!is_new) return {};
  auto watched = control_.watch(request.function, *this);
  if (!watched) entries_.erase(entry);
  return watched;
}

void BreakpointTracker::reached(const WatchedStop& stop) {
  meter_.begin(Clock::now(), stop.pc == expected_ && stop.tid == expected_tid_);
  expected_ = 0;
  if (returns_.contains(stop.pc)) recorder_.returned(stop);
  if (const auto entry = entries_.find(stop.pc); entry != entries_.end()) {
    const auto back = recorder_.entered(entry->second.kind, entry->second.shape, stop);
    if (back) watch_return(*back, stop.tid);
  }
  meter_.end(Clock::now());
}

void BreakpointTracker::watch_return(Address back, std::uint64_t tid) {
  expected_ = back;
  expected_tid_ = tid;
  if (!returns_.insert(back).second || entries_.contains(back)) return;
  if (control_.watch(back, *this)) return;
  returns_.erase(back);
  recorder_.unseen_return(tid);
}

void BreakpointTracker::forget(AddressRange module_range) { unwatch_in(module_range); }
void BreakpointTracker::stop() { unwatch_in({0, ~Address{0}}); }

void BreakpointTracker::unwatch_in(AddressRange range) {
  std::erase_if(returns_, [&](Address address) {
    if (!range.contains(address)) return false;
    if (!entries_.contains(address)) control_.unwatch(address);
    return true;
  });
  std::erase_if(entries_, [&](const auto& entry) {
    if (!range.contains(entry.first)) return false;
    control_.unwatch(entry.first);
    return true;
  });
}

Ledger BreakpointTracker::ledger() {
  std::set<std::uint64_t> alive;
  for (const ThreadState& thread : target_.thread_positions()) alive.insert(thread.tid);
  recorder_.keep_threads(alive);
  return recorder_.ledger();
}

std::vector<CodeAddress> BreakpointTracker::call_stack(std::uint64_t tid) {
  std::vector<CodeAddress> stack = target_.call_stack(tid, agent::kMaxFrames);
  for (CodeAddress& frame : stack) {
    const CodeRange* range = code_.loaded_at(frame.pc);
    if (range != nullptr) frame.incarnation = std::uint16_t(range->incarnation);
  }
  return stack;
}

std::uint64_t BreakpointTracker::mapping_size(Address begin) {
  const auto mappings = target_.mappings();
  const Mapping* mapping = mappings ? find_mapping(*mappings, begin) : nullptr;
  return mapping == nullptr ? 0 : mapping->range.end - begin;
}

std::uint64_t BreakpointTracker::milliseconds() {
  return std::uint64_t(
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start_).count());
}

}  // namespace heapledger
