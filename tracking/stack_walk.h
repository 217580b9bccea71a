// SPDX-License-Identifier: Apache-2.0
//
// The paths through one function, and where the stack pointer and the caller's rbp are on them.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "agent/protocol.h"
#include "inferior/address.h"
#include "tracking/stack_effect.h"

namespace heapledger {

struct StackState {
  static constexpr std::int32_t kLost = -1;
  std::int32_t depth = 8;   // CFA - rsp; kLost: not known
  std::int32_t frame = 0;   // CFA - rbp where rbp is a frame pointer, else 0
  std::int32_t saved = 0;   // the caller's rbp is at CFA - saved; 0: still in rbp
  bool outermost = false;   // nothing called this code

  bool as_at_entry() const { return outermost || (depth == 8 && saved == 0); }
  friend bool operator==(const StackState&, const StackState&) = default;
};

// After the instruction; nullopt: the caller's state cannot be told any more, so the code is not what
// it was taken for.
std::optional<StackState> after(const StackEffect& effect, StackState state);

// The rule of a state; nullopt: neither register leads to the CFA.
std::optional<agent::RuleBody> rule_of(const StackState& state);

class StackWalk {
 public:
  // What is known of the function beforehand.
  struct Kind {
    bool ends_known = true;  // else the bounds may reach over its end, behind a call that does not return
    bool outermost = false;
  };
  // `code`: the bytes from `bounds.begin` on. Control that leaves the bounds must leave as at an entry.
  StackWalk(std::span<const std::byte> code, AddressRange bounds, Kind kind);

  AddressRange bounds() const { return bounds_; }
  bool consistent() const { return consistent_; }
  struct Place {
    StackState state;  // before the instruction
    std::uint32_t length = 0;
    std::vector<Address> next = {};        // within the bounds
    std::optional<Address> callee = {};    // of a direct call
    bool calls = false;                    // `next` is where the call returns to, if it does
    bool exits = false;                    // a return, or a jump out as at an entry
  };
  const std::map<Address, Place>& places() const { return places_; }
  // Where functions begin: targets of calls, and of jumps out of the bounds as at an entry.
  const std::vector<Address>& called() const { return called_; }
  // Targets of other jumps out: no functions, whatever a symbol says (`.cold` parts).
  const std::vector<Address>& not_functions() const { return not_functions_; }
  // Places from which the function comes to an end where everything is as at its entry.
  std::set<Address> checked() const;
  // Places that are surely the function's own: reached without believing that a call returns, but for
  // calls of those in `returning`.
  std::set<Address> certain(const std::set<Address>& returning) const;

 private:
  void reach(Address address, const StackState& state);
  void step(Address address);
  void leave_to(Address target, const StackState& state);

  std::span<const std::byte> code_;
  AddressRange bounds_;
  Kind kind_;
  std::map<Address, Place> places_;
  std::vector<Address> waiting_;
  std::vector<Address> called_;
  std::vector<Address> not_functions_;
  bool consistent_ = true;
};

}  // namespace heapledger
