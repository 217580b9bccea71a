// SPDX-License-Identifier: Apache-2.0
//
// The programs of call frame information (DWARF 5 section 6.4.2): from instructions to rows.
//
// Only three registers matter to a walk over x86-64 frames - the return address, rbp and rsp - so a
// row here is those three and the CFA. One pass over the instructions gives all rows of a function
// (libdw's dwarf_cfi_addrframe begins anew for each).
#pragma once

#include <cstdint>
#include <span>

#include "agent/protocol.h"
#include "tracking/byte_cursor.h"

namespace heapledger {

struct SavedRegister {
  enum class Where : std::uint8_t {
    unspecified,
    undefined,
    same,
    at_cfa,     // saved at CFA + offset
    at_rbp,     // saved at rbp + offset, rbp's value in the frame itself
    is_cfa,     // its value is CFA + offset
    elsewhere,  // in a register, or by an expression we do not know
  };
  Where where = Where::unspecified;
  std::int64_t offset = 0;
};

struct CfaRow {
  enum class Cfa : std::uint8_t {
    none,
    from_register,    // cfa_register + cfa_offset
    from_expression,  // the same, said by an expression: its parts cannot be changed one by one
    from_rbp_word,    // *(rbp + cfa_offset): functions that realign their stack
    plt,              // binutils' expression for lazy PLT entries; cfa_offset is its threshold
    unknown,
  };
  Cfa cfa = Cfa::none;
  std::uint64_t cfa_register = 0;
  std::int64_t cfa_offset = 0;
  SavedRegister rbp, rsp, return_address;
};

// What a CIE says once for all its FDEs.
struct CfaContext {
  std::uint64_t code_alignment = 1;
  std::int64_t data_alignment = -8;
  std::uint8_t pointer_encoding = 0;
  CfaRow initial;  // after the CIE's own instructions
};

class CfaRows {
 public:
  // Rows of the program of one FDE that covers [begin, end). `program` must outlive the object.
  CfaRows(const CfaContext& context, ByteCursor program, std::uint64_t begin, std::uint64_t end);

  // Moves to the next row; false after the last. Rows are not empty, ascend, and cover [begin,
  // end).
  bool next();
  std::uint64_t begin() const { return row_begin_; }
  std::uint64_t end() const { return location_; }
  // nullptr: from here to the end of the FDE its instructions make no sense.
  const CfaRow* row() const { return damaged_ ? nullptr : &state_; }

 private:
  enum class Step { same_row, advanced, damaged };
  Step step();
  Step step_extended(std::uint8_t opcode);
  Step advance(std::uint64_t delta);
  Step set_location();
  Step define_cfa_expression();
  Step change_cfa_offset(std::int64_t offset);
  Step change_cfa_register(std::uint64_t number);
  Step remember();
  Step restore();
  std::int64_t factored(std::uint64_t offset) const;
  void reset(std::uint64_t number);
  std::span<const std::byte> block();
  void set(std::uint64_t number, SavedRegister rule);
  Step define_cfa(CfaRow::Cfa kind, std::uint64_t number, std::int64_t offset);

  static constexpr unsigned kRemembered = 16;
  const CfaContext& context_;
  ByteCursor program_;
  std::uint64_t end_;
  std::uint64_t row_begin_;
  std::uint64_t location_;
  CfaRow state_;
  CfaRow remembered_[kRemembered];
  unsigned remembered_count_ = 0;
  bool damaged_ = false;
};

// The row after a CIE's initial instructions; cfa is `unknown` when they make no sense.
CfaRow initial_row(const CfaContext& context, ByteCursor instructions);

// What the agent can do with a row.
agent::RuleBody reduce(const CfaRow& row);

}  // namespace heapledger
