// SPDX-License-Identifier: Apache-2.0
//
// One x86-64 instruction, reduced to what moving it elsewhere needs: how it passes control on,
// which of its bytes are relative to where it stands, and whether it is known to mean the same
// elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "inferior/address.h"

namespace heapledger {

struct Instruction {
  enum class Flow {
    falls_through,
    conditional_jump,  // jcc; not loop or jrcxz, which have no rel32 form
    jump,              // jmp rel8 or rel32
    jump_by_table,     // jmp *disp32(%rip)
    return_,
    other,  // calls, loops, system calls, traps, indirect jumps
  };

  std::uint32_t offset = 0;  // from the first byte of the function
  std::uint32_t length = 0;
  Flow flow = Flow::other;
  bool whitelisted = false;    // means the same elsewhere once its relative bytes are corrected
  bool padding = false;        // nop (any length) or int3: what fills the space between functions
  std::uint8_t condition = 0;  // conditional_jump: the low nibble of its opcode
  std::optional<Address> branch_target;  // of any direct branch: jmp, jcc, call, loop, xbegin ...
  std::optional<Address> data_target;    // of a rip-relative operand
  bool reads_or_writes_data = false;     // false: the operand is only an address (lea)
  std::uint32_t displacement_at = 0;     // data_target: where its disp32 is, from the first byte
  std::string mnemonic;                  // "call"

  std::uint32_t end() const { return offset + length; }
};

// The instruction at function_bytes[offset], `function` being the address of function_bytes[0];
// nullopt when the bytes are no instruction or end inside one.
std::optional<Instruction> decode_instruction(std::span<const std::uint8_t> function_bytes,
                                              Address function, std::uint32_t offset);

}  // namespace heapledger
