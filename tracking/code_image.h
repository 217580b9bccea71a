// SPDX-License-Identifier: Apache-2.0
//
// An ELF file for code that was written into the inferior and that no file has: symbols and call frame
// information (.debug_frame, DWARF 5 section 6.4), so that a debugger names the code and unwinds from
// any instruction of it. Linked at the addresses where the code stands: nothing is to be slid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "agent/protocol.h"
#include "inferior/address.h"

namespace heapledger {

// What holds from `from` on, until the next row.
struct FrameRow {
  Address from = 0;
  agent::RuleBody rule = {};  // RuleType::sp or bp
  // Registers that were saved here: DWARF's number, and the word's place as CFA - 8 * slot.
  struct Saved {
    std::uint8_t register_number;
    std::uint8_t slot;
  };
  std::vector<Saved> saved = {};  // stay saved in the later rows
};

// Call frame information as rows or as a program, or none.
struct CodePiece {
  AddressRange range;
  std::string name;                 // the symbol
  std::vector<FrameRow> rows = {};  // sorted; the first one begins with the piece
  // DW_CFA instructions after CFA = rsp + 8, with factors 1 (code) and -8 (data).
  std::span<const std::byte> program = {};
};

// `bytes` are what stands at `begin`; the pieces lie inside them.
std::vector<std::byte> code_image(Address begin, std::span<const std::byte> bytes,
                                  std::span<const CodePiece> pieces);

}  // namespace heapledger
