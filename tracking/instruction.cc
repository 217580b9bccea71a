// SPDX-License-Identifier: Apache-2.0
#include "tracking/instruction.h"

#include <Zydis/Zydis.h>

namespace heapledger {
namespace {

struct Decoded {
  ZydisDecodedInstruction instruction;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

  std::span<const ZydisDecodedOperand> all() const {
    return std::span(operands, instruction.operand_count);
  }
  Address absolute(const ZydisDecodedOperand& operand, Address at) const {
    ZyanU64 address = 0;
    return ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&instruction, &operand, at, &address)) ? address
                                                                                        : 0;
  }
};

// Categories all of whose unprivileged members compute on registers and memory and nothing else.
bool only_computes(const ZydisDecodedInstruction& instruction) {
  switch (instruction.meta.category) {
    case ZYDIS_CATEGORY_ADOX_ADCX:
    case ZYDIS_CATEGORY_AVX:
    case ZYDIS_CATEGORY_AVX2:
    case ZYDIS_CATEGORY_BINARY:
    case ZYDIS_CATEGORY_BITBYTE:
    case ZYDIS_CATEGORY_BMI1:
    case ZYDIS_CATEGORY_BMI2:
    case ZYDIS_CATEGORY_BROADCAST:
    case ZYDIS_CATEGORY_CMOV:
    case ZYDIS_CATEGORY_CONVERT:
    case ZYDIS_CATEGORY_DATAXFER:
    case ZYDIS_CATEGORY_LOGICAL:
    case ZYDIS_CATEGORY_LOGICAL_FP:
    case ZYDIS_CATEGORY_LZCNT:
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_POP:
    case ZYDIS_CATEGORY_PREFETCH:
    case ZYDIS_CATEGORY_PUSH:
    case ZYDIS_CATEGORY_ROTATE:
    case ZYDIS_CATEGORY_SEMAPHORE:
    case ZYDIS_CATEGORY_SETCC:
    case ZYDIS_CATEGORY_SHIFT:
    case ZYDIS_CATEGORY_SSE:
    case ZYDIS_CATEGORY_WIDENOP:
      return true;
    default:
      break;
  }
  switch (instruction.mnemonic) {  // the harmless members of mixed categories
    case ZYDIS_MNEMONIC_LEA:
    case ZYDIS_MNEMONIC_LEAVE:
    case ZYDIS_MNEMONIC_ENDBR64:
    case ZYDIS_MNEMONIC_CLD:
      return true;
    default:
      return false;
  }
}

// An operand relative to eip (67 prefix) is left alone: nobody writes one.
bool is_whitelisted(const ZydisDecodedInstruction& instruction) {
  const bool plain = instruction.machine_mode == ZYDIS_MACHINE_MODE_LONG_64 &&
                     !(instruction.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED);
  const bool eip_relative =
      (instruction.attributes & ZYDIS_ATTRIB_IS_RELATIVE) && instruction.address_width != 64;
  return plain && !eip_relative && only_computes(instruction);
}

bool is_jcc(const ZydisDecodedInstruction& instruction) {
  const ZyanU8 opcode = instruction.opcode;
  if (instruction.meta.category != ZYDIS_CATEGORY_COND_BR) return false;
  if (instruction.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT) return (opcode & 0xf0) == 0x70;
  return instruction.opcode_map == ZYDIS_OPCODE_MAP_0F && (opcode & 0xf0) == 0x80;
}

Instruction::Flow flow_of(const Decoded& decoded, const Instruction& result) {
  using Flow = Instruction::Flow;
  const auto& instruction = decoded.instruction;
  // A branch with a 66 prefix goes to different places on Intel and on AMD.
  const bool changes_flow = instruction.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
  if (changes_flow && (instruction.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)) return Flow::other;
  if (is_jcc(instruction)) return Flow::conditional_jump;
  if (instruction.mnemonic == ZYDIS_MNEMONIC_RET &&
      instruction.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR) {
    return Flow::return_;
  }
  if (instruction.mnemonic == ZYDIS_MNEMONIC_JMP) {
    if (result.branch_target) return Flow::jump;
    const bool near = instruction.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR;
    if (near && result.data_target && instruction.address_width == 64) return Flow::jump_by_table;
    return Flow::other;
  }
  return result.whitelisted ? Flow::falls_through : Flow::other;
}

bool is_padding(const ZydisDecodedInstruction& instruction) {
  return instruction.mnemonic == ZYDIS_MNEMONIC_NOP ||
         instruction.mnemonic == ZYDIS_MNEMONIC_INT3 ||
         // xchg %ax,%ax: 66 90
         (instruction.mnemonic == ZYDIS_MNEMONIC_XCHG && instruction.opcode == 0x90 &&
          !(instruction.attributes & ZYDIS_ATTRIB_HAS_REX));
}

}  // namespace

std::optional<Instruction> decode_instruction(std::span<const std::uint8_t> function_bytes,
                                              Address function, std::uint32_t offset) {
  if (offset >= function_bytes.size()) return std::nullopt;
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  Decoded decoded;
  const auto bytes = function_bytes.subspan(offset);
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(),
                                           &decoded.instruction, decoded.operands))) {
    return std::nullopt;
  }

  Instruction result;
  result.offset = offset;
  result.length = decoded.instruction.length;
  result.mnemonic = ZydisMnemonicGetString(decoded.instruction.mnemonic);
  result.whitelisted = is_whitelisted(decoded.instruction);
  result.padding = is_padding(decoded.instruction);
  result.condition = decoded.instruction.opcode & 0xf;
  for (const ZydisDecodedOperand& operand : decoded.all()) {
    if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operand.imm.is_relative) {
      result.branch_target = decoded.absolute(operand, function + offset);
    }
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.base == ZYDIS_REGISTER_RIP) {
      result.data_target = decoded.absolute(operand, function + offset);
      result.reads_or_writes_data = operand.mem.type != ZYDIS_MEMOP_TYPE_AGEN;
      result.displacement_at = decoded.instruction.raw.disp.offset;
    }
  }
  result.flow = flow_of(decoded, result);
  return result;
}

}  // namespace heapledger
