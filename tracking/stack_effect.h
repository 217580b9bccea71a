// SPDX-License-Identifier: Apache-2.0
//
// One x86-64 instruction, reduced to what it does to the stack pointer and to rbp, and where control
// goes from it: what unwinding code without call frame information has to know.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "inferior/address.h"

namespace heapledger {

struct StackEffect {
  enum class Change {
    none,
    push,        // of 8 bytes; `of_rbp`: rbp itself
    pop,         // of 8 bytes; `of_rbp`: into rbp
    move_rsp,    // rsp += value
    rsp_to_rbp,  // rsp = rbp + value
    rbp_to_rsp,  // rbp = rsp
    leave,       // rsp = rbp, pop rbp
    load_rbp,    // rbp = *(rsp + value)
    zero_rbp,    // xor: how the outermost frame is marked
    rbp_lost,    // another value, that has nothing to do with the frame
    rsp_lost,
  };
  enum class Flow { next, branch, jump, call, return_, stop };  // branch: to `target` or next

  std::uint32_t length = 0;
  Change change = Change::none;
  bool of_rbp = false;
  std::int64_t value = 0;
  Flow flow = Flow::next;
  std::optional<Address> target;        // of branch, jump, call; none: indirect
  std::optional<Address> code_address;  // lea of a rip-relative address
};

// The instruction at `address`; nullopt: the bytes are none.
std::optional<StackEffect> stack_effect(std::span<const std::byte> bytes, Address address);

}  // namespace heapledger
