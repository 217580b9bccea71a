// SPDX-License-Identifier: Apache-2.0
#include "tracking/stack_walk.h"

#include <algorithm>

namespace heapledger {
namespace {

using Change = StackEffect::Change;
using Flow = StackEffect::Flow;
using agent::RuleBody;
using agent::RuleType;

constexpr std::int64_t kDeepest = 1 << 24;
constexpr std::int32_t kLost = StackState::kLost;

// rsp moves so that the CFA is `depth` above it. Nothing of the caller's may be given up.
bool move_to(StackState& s, std::int64_t depth) {
  if (depth < 8 || depth % 8 != 0 || depth > kDeepest || depth < s.saved) return false;
  s.depth = std::int32_t(depth);
  return true;
}

// rbp gets what is at CFA - place: the caller's, if it was saved there.
bool load_rbp(StackState& s, std::int64_t place) {
  if (s.saved == 0) return false;
  s.frame = 0;
  if (place == s.saved) s.saved = 0;
  return true;
}

bool pop(StackState& s, bool into_rbp) {
  if (s.depth == kLost) return !into_rbp || (s.frame = 0, s.saved != 0);
  if (into_rbp && !load_rbp(s, s.depth)) return false;
  return move_to(s, std::int64_t(s.depth) - 8);
}

// Two paths meet. false: they contradict each other.
bool meet(StackState& known, const StackState& other) {
  if (known.outermost != other.outermost || known.saved != other.saved) return false;
  if (known.depth != other.depth) {
    if (known.frame == 0 || known.frame != other.frame) return false;
    known.depth = kLost;
  }
  if (known.frame != other.frame) known.frame = 0;
  return true;
}

}  // namespace

std::optional<StackState> after(const StackEffect& effect, StackState s) {
  if (s.outermost) return s;
  bool possible = true;
  switch (effect.change) {
    case Change::none:
      break;
    case Change::push:
      if (s.depth == kLost) break;
      possible = move_to(s, std::int64_t(s.depth) + 8);
      if (effect.of_rbp && s.saved == 0) s.saved = s.depth;
      break;
    case Change::pop:
      possible = pop(s, effect.of_rbp);
      break;
    case Change::move_rsp:
      possible = s.depth == kLost || move_to(s, s.depth - effect.value);
      break;
    case Change::rsp_to_rbp:
      if (s.frame == 0) {
        s.depth = kLost;
      } else {
        possible = move_to(s, s.frame - effect.value);
      }
      break;
    case Change::rbp_to_rsp:
      possible = s.saved != 0;
      s.frame = s.depth == kLost ? 0 : s.depth;
      break;
    case Change::leave:
      possible = s.frame != 0 && move_to(s, s.frame) && pop(s, true);
      break;
    case Change::load_rbp:
      possible = load_rbp(s, s.depth == kLost ? 0 : s.depth - effect.value);
      break;
    case Change::zero_rbp:
      s.outermost = s.saved == 0;
      s.frame = 0;
      break;
    case Change::rbp_lost:
      possible = s.saved != 0;
      s.frame = 0;
      break;
    case Change::rsp_lost:
      s.depth = kLost;
      break;
  }
  if (!possible) return std::nullopt;
  return s;
}

std::optional<RuleBody> rule_of(const StackState& s) {
  const auto bp = std::int16_t(-s.saved / 8);
  if (s.saved / 8 > INT16_MAX) return std::nullopt;
  if (s.outermost) return RuleBody{0, 0, std::uint8_t(RuleType::end), 0};
  if (s.frame != 0) return RuleBody{s.frame, bp, std::uint8_t(RuleType::bp), 0};
  if (s.depth != kLost) return RuleBody{s.depth, bp, std::uint8_t(RuleType::sp), 0};
  return std::nullopt;
}

StackWalk::StackWalk(std::span<const std::byte> code, AddressRange bounds, Kind kind)
    : code_(code), bounds_(bounds), kind_(kind) {
  StackState at_entry;
  at_entry.outermost = kind.outermost;
  reach(bounds.begin, at_entry);
  while (consistent_ && !waiting_.empty()) {
    const Address next = waiting_.back();
    waiting_.pop_back();
    step(next);
  }
  Address end = 0;  // two readings of the same bytes
  for (const auto& [address, place] : places_) {
    consistent_ = consistent_ && address >= end;
    end = address + place.length;
  }
}

void StackWalk::reach(Address address, const StackState& state) {
  if (!bounds_.contains(address)) return leave_to(address, state);
  const auto [place, is_new] = places_.try_emplace(address, Place{state});
  if (is_new) return waiting_.push_back(address);
  const StackState before = place->second.state;
  if (!meet(place->second.state, state)) {
    consistent_ = false;
  } else if (place->second.state != before) {
    waiting_.push_back(address);
  }
}

void StackWalk::leave_to(Address target, const StackState& state) {
  if (!state.as_at_entry()) consistent_ = false;
  (state.as_at_entry() ? called_ : not_functions_).push_back(target);
}

void StackWalk::step(Address address) {
  Place& place = places_.at(address);
  const auto effect = stack_effect(code_.subspan(address - bounds_.begin), address);
  const auto next = effect ? after(*effect, place.state) : std::nullopt;
  if (!next) {
    consistent_ = false;
    return;
  }
  place.length = effect->length;
  place.next.clear();
  const auto go = [&](Address target) {
    if (bounds_.contains(target)) {
      place.next.push_back(target);
    } else {
      place.exits = true;
    }
    reach(target, *next);
  };
  const bool ends = effect->flow == Flow::return_ || effect->flow == Flow::stop ||
                    effect->flow == Flow::jump;
  if (effect->flow == Flow::return_) {
    place.exits = true;
    if (!next->as_at_entry()) consistent_ = false;
  }
  // A jump without a target: by a table, or a call as the last thing.
  if (effect->flow == Flow::jump && !effect->target) place.exits = next->as_at_entry();
  if (effect->flow == Flow::call) {
    place.calls = true;
    place.callee = effect->target;
    if (effect->target) called_.push_back(*effect->target);
  } else if (effect->target && effect->flow != Flow::next) {
    go(*effect->target);
  }
  if (ends) return;
  const Address behind = address + effect->length;
  if (bounds_.contains(behind)) {
    go(behind);
  } else if (!place.calls && kind_.ends_known) {
    consistent_ = false;  // runs on into something else
  }
}

std::set<Address> StackWalk::checked() const {
  std::map<Address, std::vector<Address>> before;
  std::vector<Address> waiting;
  for (const auto& [address, place] : places_) {
    for (const Address next : place.next) before[next].push_back(address);
    if (place.exits) waiting.push_back(address);
  }
  std::set<Address> found(waiting.begin(), waiting.end());
  while (!waiting.empty()) {
    const Address here = waiting.back();
    waiting.pop_back();
    for (const Address address : before[here]) {
      if (found.insert(address).second) waiting.push_back(address);
    }
  }
  return found;
}

std::set<Address> StackWalk::certain(const std::set<Address>& returning) const {
  std::set<Address> found{bounds_.begin};
  std::vector<Address> waiting{bounds_.begin};
  while (!waiting.empty()) {
    const auto place = places_.find(waiting.back());
    waiting.pop_back();
    if (place == places_.end()) continue;
    const auto& [address, p] = *place;
    if (p.calls && !(p.callee && returning.count(*p.callee) != 0)) continue;
    for (const Address next : p.next) {
      if (found.insert(next).second) waiting.push_back(next);
    }
  }
  return found;
}

}  // namespace heapledger
