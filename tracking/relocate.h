// SPDX-License-Identifier: Apache-2.0
//
// Moving the first instructions of a function elsewhere, so that a 5-byte jump can take their
// place.
//
// Decoded with Zydis against a whitelist; what is not known to be safe is refused with its reason.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inferior/address.h"
#include "inferior/result.h"

namespace heapledger {

inline constexpr std::size_t kJumpSize = 5;  // e9 rel32

struct Relocation {
  std::uint32_t skipped = 0;    // bytes of endbr64 kept in place; the jump goes to function+skipped
  std::uint32_t displaced = 0;  // bytes taken from function+skipped, whole instructions, >= 5
  std::vector<std::uint8_t> code;  // the trampoline: moved instructions, then a jump back
  struct Boundary {
    std::uint32_t from;  // offset of an instruction, from `function`
    std::uint32_t to;    // its offset in `code`
  };
  std::vector<Boundary> boundaries;  // one per moved instruction, in order
};

// `function_bytes` are the original bytes (no traps) of the function from its first byte to its
// end, or as many as are known to belong to it. `trampoline` is where `code` will stand. Refuses:
// calls, syscalls, returns, loops, jrcxz, unknown instructions inside the displaced bytes; a
// function shorter than the jump; a direct branch from anywhere in the function into the displaced
// bytes (other than to their first byte); rip-relative data out of reach of `trampoline`. A return
// or a short function is moved when nothing but padding (nop, int3) follows it to the end of
// `function_bytes` or to the next 16-byte boundary: give them up to the next symbol. An endbr64 is
// kept in place (skipped = 4) unless only a jump over it can be relocated.
Result<Relocation> relocate_entry(std::span<const std::uint8_t> function_bytes, Address function,
                                  Address trampoline);

}  // namespace heapledger
