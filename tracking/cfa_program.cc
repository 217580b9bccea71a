// SPDX-License-Identifier: Apache-2.0
#include "tracking/cfa_program.h"

#include <dwarf.h>

#include <limits>

namespace heapledger {
namespace {

using Where = SavedRegister::Where;
using agent::RuleBody;
using agent::RuleType;

// System V ABI x86-64, table 3.36.
constexpr std::uint64_t kRbp = 6;
constexpr std::uint64_t kRsp = 7;
constexpr std::uint64_t kReturnAddress = 16;

constexpr RuleBody kBad{0, 0, std::uint8_t(RuleType::bad), 0};

// breg<n> offset, the whole expression or followed by `tail`.
struct BregExpression {
  std::uint64_t number;
  std::int64_t offset;
  std::span<const std::byte> tail;
};
bool parse_breg(std::span<const std::byte> expression, BregExpression& out) {
  ByteCursor cursor(expression, 0);
  const auto operation = cursor.fixed<std::uint8_t>();
  if (operation < DW_OP_breg0 || operation > DW_OP_breg31) return false;
  out.number = operation - DW_OP_breg0;
  out.offset = cursor.sleb();
  out.tail = cursor.rest();
  return !cursor.failed();
}

std::uint8_t byte_at(std::span<const std::byte> bytes, std::size_t i) {
  return std::to_integer<std::uint8_t>(bytes[i]);
}

// binutils, elf_x86_64_eh_frame_lazy_plt: rsp + 8 + ((rip & 15) >= threshold) << 3.
bool is_plt_expression(std::span<const std::byte> e, std::int64_t& threshold) {
  static constexpr std::uint8_t kPattern[] = {
      DW_OP_breg0 + 7,   8,        DW_OP_breg0 + 16, 0,         DW_OP_lit15, DW_OP_and,
      0 /* threshold */, DW_OP_ge, DW_OP_lit3,       DW_OP_shl, DW_OP_plus};
  if (e.size() != std::size(kPattern)) return false;
  for (std::size_t i = 0; i < e.size(); ++i) {
    if (i != 6 && byte_at(e, i) != kPattern[i]) return false;
  }
  const std::uint8_t literal = byte_at(e, 6);
  if (literal < DW_OP_lit0 || literal > DW_OP_lit15) return false;
  threshold = literal - DW_OP_lit0;
  return true;
}

bool fits_int32(std::int64_t value) { return value == std::int32_t(value); }

// rbp saved at CFA + offset, as RuleBody::bp counts; 0 cannot be said (it means unchanged).
bool word_offset(std::int64_t offset, std::int16_t& words) {
  if (offset == 0 || offset % 8 != 0 || offset / 8 != std::int16_t(offset / 8)) return false;
  words = std::int16_t(offset / 8);
  return true;
}

bool reduce_rbp(const CfaRow& row, RuleBody& body) {
  const SavedRegister& rbp = row.rbp;
  const bool deref = row.cfa == CfaRow::Cfa::from_rbp_word;
  switch (rbp.where) {
    case Where::unspecified:
    case Where::same: return !deref;
    case Where::at_cfa: return !deref && word_offset(rbp.offset, body.bp);
    case Where::at_rbp:
      if (deref) return rbp.offset == 0;
      return body.type == std::uint8_t(RuleType::bp) &&
             word_offset(rbp.offset - row.cfa_offset, body.bp);
    default: return false;
  }
}

bool reduce_cfa(const CfaRow& row, RuleBody& body) {
  RuleType type = RuleType::bad;
  switch (row.cfa) {
    case CfaRow::Cfa::from_register:
    case CfaRow::Cfa::from_expression:
      if (row.cfa_register == kRsp) type = RuleType::sp;
      if (row.cfa_register == kRbp) type = RuleType::bp;
      break;
    case CfaRow::Cfa::from_rbp_word: type = RuleType::bp_deref; break;
    case CfaRow::Cfa::plt: type = RuleType::plt; break;
    default: break;
  }
  body.type = std::uint8_t(type);
  body.cfa = std::int32_t(row.cfa_offset);
  return type != RuleType::bad && fits_int32(row.cfa_offset);
}

}  // namespace

RuleBody reduce(const CfaRow& row) {
  const SavedRegister& ra = row.return_address;
  if (ra.where == Where::undefined) return {0, 0, std::uint8_t(RuleType::end), 0};
  if (ra.where != Where::at_cfa || ra.offset != -8) return kBad;
  const SavedRegister& rsp = row.rsp;
  if (rsp.where != Where::unspecified && !(rsp.where == Where::is_cfa && rsp.offset == 0))
    return kBad;
  RuleBody body{};
  return reduce_cfa(row, body) && reduce_rbp(row, body) ? body : kBad;
}

CfaRow initial_row(const CfaContext& context, ByteCursor instructions) {
  // One row of a function that is never left: initial instructions do not advance.
  CfaRows rows(context, instructions, 0, std::numeric_limits<std::uint64_t>::max());
  CfaRow unknown;
  unknown.cfa = CfaRow::Cfa::unknown;
  rows.next();
  return rows.row() != nullptr && rows.end() == std::numeric_limits<std::uint64_t>::max()
             ? *rows.row()
             : unknown;
}

CfaRows::CfaRows(const CfaContext& context, ByteCursor program, std::uint64_t begin,
                 std::uint64_t end)
    : context_(context),
      program_(program),
      end_(end),
      row_begin_(begin),
      location_(begin),
      state_(context.initial) {}

bool CfaRows::next() {
  row_begin_ = location_;
  if (row_begin_ >= end_) return false;
  while (!damaged_ && !program_.done()) {
    const Step taken = step();
    if (taken == Step::advanced) return true;  // `state_` is still the row that ends here
    damaged_ = taken == Step::damaged || program_.failed();
  }
  location_ = end_;
  return true;
}

CfaRows::Step CfaRows::step() {
  const auto opcode = program_.fixed<std::uint8_t>();
  const std::uint64_t operand = opcode & 0x3f;
  switch (opcode & 0xc0) {
    case DW_CFA_advance_loc: return advance(operand);
    case DW_CFA_offset: set(operand, {Where::at_cfa, factored(program_.uleb())}); break;
    case DW_CFA_restore: reset(operand); break;
    default: return step_extended(opcode);
  }
  return Step::same_row;
}

CfaRows::Step CfaRows::step_extended(std::uint8_t opcode) {
  using Cfa = CfaRow::Cfa;
  // The order of evaluation of arguments is not fixed: operands are read one by one.
  switch (opcode) {
    case DW_CFA_nop:
    case DW_CFA_GNU_window_save: return Step::same_row;
    case DW_CFA_GNU_args_size: program_.uleb(); return Step::same_row;
    case DW_CFA_set_loc: return set_location();
    case DW_CFA_advance_loc1: return advance(program_.fixed<std::uint8_t>());
    case DW_CFA_advance_loc2: return advance(program_.fixed<std::uint16_t>());
    case DW_CFA_advance_loc4: return advance(program_.fixed<std::uint32_t>());
    case DW_CFA_MIPS_advance_loc8: return advance(program_.fixed<std::uint64_t>());
    case DW_CFA_remember_state: return remember();
    case DW_CFA_restore_state: return restore();
    case DW_CFA_def_cfa_offset: return change_cfa_offset(std::int64_t(program_.uleb()));
    case DW_CFA_def_cfa_offset_sf:
      return change_cfa_offset(factored(std::uint64_t(program_.sleb())));
    case DW_CFA_def_cfa_expression: return define_cfa_expression();
    default: break;
  }
  const std::uint64_t number = program_.uleb();
  switch (opcode) {
    case DW_CFA_def_cfa:
      return define_cfa(Cfa::from_register, number, std::int64_t(program_.uleb()));
    case DW_CFA_def_cfa_sf:
      return define_cfa(Cfa::from_register, number, factored(std::uint64_t(program_.sleb())));
    case DW_CFA_def_cfa_register: return change_cfa_register(number);
    case DW_CFA_restore_extended: reset(number); break;
    case DW_CFA_undefined: set(number, {Where::undefined}); break;
    case DW_CFA_same_value: set(number, {Where::same}); break;
    case DW_CFA_offset_extended: set(number, {Where::at_cfa, factored(program_.uleb())}); break;
    case DW_CFA_offset_extended_sf:
      set(number, {Where::at_cfa, factored(std::uint64_t(program_.sleb()))});
      break;
    case DW_CFA_GNU_negative_offset_extended:
      set(number, {Where::at_cfa, factored(std::uint64_t{0} - program_.uleb())});
      break;
    case DW_CFA_val_offset: set(number, {Where::is_cfa, factored(program_.uleb())}); break;
    case DW_CFA_val_offset_sf:
      set(number, {Where::is_cfa, factored(std::uint64_t(program_.sleb()))});
      break;
    case DW_CFA_register:
      program_.uleb();
      set(number, {Where::elsewhere});
      break;
    case DW_CFA_expression: {
      BregExpression at;
      const bool at_rbp = parse_breg(block(), at) && at.number == kRbp && at.tail.empty();
      set(number,
          at_rbp ? SavedRegister{Where::at_rbp, at.offset} : SavedRegister{Where::elsewhere});
      break;
    }
    case DW_CFA_val_expression:
      block();
      set(number, {Where::elsewhere});
      break;
    default: return Step::damaged;
  }
  return Step::same_row;
}

CfaRows::Step CfaRows::advance(std::uint64_t delta) {
  std::uint64_t bytes;
  if (program_.failed()) return Step::damaged;
  if (__builtin_mul_overflow(delta, context_.code_alignment, &bytes)) bytes = end_;
  location_ = bytes < end_ - location_ ? location_ + bytes : end_;
  return bytes != 0 ? Step::advanced : Step::same_row;
}

CfaRows::Step CfaRows::set_location() {
  const auto target = read_encoded_pointer(program_, context_.pointer_encoding);
  if (!target || *target < location_) return Step::damaged;
  const bool moves = *target > location_;
  location_ = *target < end_ ? *target : end_;
  return moves ? Step::advanced : Step::same_row;
}

CfaRows::Step CfaRows::remember() {
  if (remembered_count_ == kRemembered) return Step::damaged;
  remembered_[remembered_count_++] = state_;
  return Step::same_row;
}

CfaRows::Step CfaRows::restore() {
  if (remembered_count_ == 0) return Step::damaged;
  state_ = remembered_[--remembered_count_];
  return Step::same_row;
}

CfaRows::Step CfaRows::define_cfa(CfaRow::Cfa kind, std::uint64_t number, std::int64_t offset) {
  state_.cfa = kind;
  state_.cfa_register = number;
  state_.cfa_offset = offset;
  return Step::same_row;
}

CfaRows::Step CfaRows::change_cfa_offset(std::int64_t offset) {
  if (state_.cfa != CfaRow::Cfa::from_register) return Step::damaged;
  state_.cfa_offset = offset;
  return Step::same_row;
}

CfaRows::Step CfaRows::change_cfa_register(std::uint64_t number) {
  if (state_.cfa != CfaRow::Cfa::from_register) return Step::damaged;
  state_.cfa_register = number;
  return Step::same_row;
}

CfaRows::Step CfaRows::define_cfa_expression() {
  using Cfa = CfaRow::Cfa;
  const std::span<const std::byte> expression = block();
  std::int64_t threshold = 0;
  if (is_plt_expression(expression, threshold)) return define_cfa(Cfa::plt, 0, threshold);
  BregExpression sum;
  if (!parse_breg(expression, sum)) return define_cfa(Cfa::unknown, 0, 0);
  if (sum.tail.empty()) return define_cfa(Cfa::from_expression, sum.number, sum.offset);
  const bool deref =
      sum.number == kRbp && sum.tail.size() == 1 && byte_at(sum.tail, 0) == DW_OP_deref;
  return define_cfa(deref ? Cfa::from_rbp_word : Cfa::unknown, 0, sum.offset);
}

std::int64_t CfaRows::factored(std::uint64_t offset) const {
  return std::int64_t(offset * std::uint64_t(context_.data_alignment));  // wraps, for damaged input
}

std::span<const std::byte> CfaRows::block() { return program_.take(program_.uleb()); }

void CfaRows::set(std::uint64_t number, SavedRegister rule) {
  if (number == kRbp) state_.rbp = rule;
  if (number == kRsp) state_.rsp = rule;
  if (number == kReturnAddress) state_.return_address = rule;
}

void CfaRows::reset(std::uint64_t number) {
  if (number == kRbp) state_.rbp = context_.initial.rbp;
  if (number == kRsp) state_.rsp = context_.initial.rsp;
  if (number == kReturnAddress) state_.return_address = context_.initial.return_address;
}

}  // namespace heapledger
