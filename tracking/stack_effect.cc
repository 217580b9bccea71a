// SPDX-License-Identifier: Apache-2.0
#include "tracking/stack_effect.h"

#include <Zydis/Zydis.h>

namespace heapledger {
namespace {

using Change = StackEffect::Change;
using Flow = StackEffect::Flow;

struct Decoded {
  ZydisDecodedInstruction instruction;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

  bool is(ZydisMnemonic mnemonic) const { return instruction.mnemonic == mnemonic; }
  bool is_register(int i, ZydisRegister which) const {
    return operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER && operands[i].reg.value == which;
  }
  // An operand [base + constant].
  bool is_based_on(int i, ZydisRegister base) const {
    const auto& o = operands[i];
    return o.type == ZYDIS_OPERAND_TYPE_MEMORY && o.mem.base == base &&
           o.mem.index == ZYDIS_REGISTER_NONE && o.mem.segment != ZYDIS_REGISTER_FS &&
           o.mem.segment != ZYDIS_REGISTER_GS;
  }
  bool writes(ZydisRegister whole) const {
    for (int i = 0; i < instruction.operand_count; ++i) {
      const auto& o = operands[i];
      if (o.type == ZYDIS_OPERAND_TYPE_REGISTER && (o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
          ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, o.reg.value) == whole) {
        return true;
      }
    }
    return false;
  }
};

constexpr auto kRsp = ZYDIS_REGISTER_RSP, kRbp = ZYDIS_REGISTER_RBP;

void set(StackEffect& e, Change change, std::int64_t value = 0) {
  e.change = change;
  e.value = value;
}

void find_change(const Decoded& d, StackEffect& e) {
  const bool sp = d.writes(kRsp), bp = d.writes(kRbp);
  const bool wide = d.instruction.operand_width == 64;
  if (e.flow == Flow::call || e.flow == Flow::return_ || (!sp && !bp)) return;
  if (d.is(ZYDIS_MNEMONIC_LEAVE)) return set(e, wide ? Change::leave : Change::rsp_lost);
  if (sp && bp) {
    if (!d.is(ZYDIS_MNEMONIC_POP) || !wide) return set(e, Change::rsp_lost);
    e.of_rbp = true;
    return set(e, Change::pop);
  }
  if (sp) {
    const bool immediate = d.operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    const std::int64_t value = d.operands[1].imm.value.s;
    if (wide && (d.is(ZYDIS_MNEMONIC_PUSH) || d.is(ZYDIS_MNEMONIC_PUSHFQ))) {
      e.of_rbp = d.is_register(0, kRbp);
      return set(e, Change::push);
    }
    const bool pops = d.is(ZYDIS_MNEMONIC_POP) || d.is(ZYDIS_MNEMONIC_POPFQ);
    if (wide && pops && !d.is_register(0, kRsp)) return set(e, Change::pop);
    if (!d.is_register(0, kRsp)) return set(e, Change::rsp_lost);
    if (d.is(ZYDIS_MNEMONIC_SUB) && immediate) return set(e, Change::move_rsp, -value);
    if (d.is(ZYDIS_MNEMONIC_ADD) && immediate) return set(e, Change::move_rsp, value);
    if (d.is(ZYDIS_MNEMONIC_MOV) && d.is_register(1, kRbp)) return set(e, Change::rsp_to_rbp);
    if (d.is(ZYDIS_MNEMONIC_LEA) && d.is_based_on(1, kRsp)) {
      return set(e, Change::move_rsp, d.operands[1].mem.disp.value);
    }
    if (d.is(ZYDIS_MNEMONIC_LEA) && d.is_based_on(1, kRbp)) {
      return set(e, Change::rsp_to_rbp, d.operands[1].mem.disp.value);
    }
    return set(e, Change::rsp_lost);
  }
  if (d.is(ZYDIS_MNEMONIC_MOV) && d.is_register(0, kRbp)) {
    if (d.is_register(1, kRsp)) return set(e, Change::rbp_to_rsp);
    if (d.is_based_on(1, kRsp)) return set(e, Change::load_rbp, d.operands[1].mem.disp.value);
  }
  const bool zero = d.is(ZYDIS_MNEMONIC_XOR) &&
                    d.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                    d.operands[0].reg.value == d.operands[1].reg.value;
  set(e, zero ? Change::zero_rbp : Change::rbp_lost);
}

Flow flow_of(const ZydisDecodedInstruction& instruction) {
  switch (instruction.mnemonic) {
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_INT3:
      return Flow::stop;
    default:
      break;
  }
  switch (instruction.meta.category) {
    case ZYDIS_CATEGORY_COND_BR: return Flow::branch;
    case ZYDIS_CATEGORY_UNCOND_BR: return Flow::jump;
    case ZYDIS_CATEGORY_CALL: return Flow::call;
    case ZYDIS_CATEGORY_RET: return Flow::return_;
    default: return Flow::next;
  }
}

}  // namespace

std::optional<StackEffect> stack_effect(std::span<const std::byte> bytes, Address address) {
  static const ZydisDecoder decoder = [] {
    ZydisDecoder made;
    ZydisDecoderInit(&made, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return made;
  }();
  Decoded d;
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(), &d.instruction,
                                           d.operands))) {
    return std::nullopt;
  }
  StackEffect e;
  e.length = d.instruction.length;
  e.flow = flow_of(d.instruction);
  find_change(d, e);
  for (int i = 0; i < d.instruction.operand_count; ++i) {
    const auto& operand = d.operands[i];
    ZyanU64 place = 0;
    if (!ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&d.instruction, &operand, address, &place))) continue;
    if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operand.imm.is_relative) e.target = place;
    if (d.is(ZYDIS_MNEMONIC_LEA) && operand.type == ZYDIS_OPERAND_TYPE_MEMORY &&
        operand.mem.base == ZYDIS_REGISTER_RIP) {
      e.code_address = place;
    }
  }
  return e;
}

}  // namespace heapledger
