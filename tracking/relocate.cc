// SPDX-License-Identifier: Apache-2.0
//
// In three passes: take whole instructions until the jump fits, make sure that nothing else in the
// function counts on them, write them down again at the new place.
#include "tracking/relocate.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "tracking/instruction.h"

namespace heapledger {
namespace {

using Flow = Instruction::Flow;
using Bytes = std::span<const std::uint8_t>;

// x86's jcc and jmp have these sizes with a rel32.
constexpr std::uint32_t kWideConditionalSize = 6;

// Functions and what stands behind their padding begin at such an address.
constexpr Address kCodeAlignment = 16;

struct Entry {
  std::uint32_t skipped = 0;
  std::uint32_t end = 0;                  // offset behind the displaced bytes
  std::vector<Instruction> instructions;  // without padding that is only overwritten
  bool falls_through = true;              // false: the last one is a jump or a return

  std::uint32_t displaced() const { return end - skipped; }
  AddressRange range(Address function) const { return {function + skipped, function + end}; }
};

bool ends_control(Flow flow) {
  return flow == Flow::jump || flow == Flow::jump_by_table || flow == Flow::return_;
}

bool is_movable(const Instruction& instruction) {
  return instruction.flow == Flow::falls_through || instruction.flow == Flow::conditional_jump ||
         ends_control(instruction.flow);
}

bool is_endbr64(Bytes bytes) {
  constexpr std::uint8_t kEndbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
  return bytes.size() >= sizeof kEndbr64 &&
         std::equal(std::begin(kEndbr64), std::end(kEndbr64), bytes.begin());
}

// End of the padding that starts at `offset`, provided that nothing else starts before the next
// place where code may: an aligned address or the end of what is known. nullopt: code follows.
std::optional<std::uint32_t> padding_end(Bytes bytes, Address function, std::uint32_t offset,
                                         std::uint32_t at_least) {
  while (offset < bytes.size()) {
    if (offset >= at_least && (function + offset) % kCodeAlignment == 0) return offset;
    const auto instruction = decode_instruction(bytes, function, offset);
    if (!instruction || !instruction->padding) return std::nullopt;
    offset = instruction->end();
  }
  return offset;
}

// After a jump or a return nothing falls into the rest of the five bytes; they may be overwritten
// when they are padding.
Result<void> take_padding(Entry& entry, Bytes bytes, Address function) {
  const Instruction& last = entry.instructions.back();
  const std::uint32_t needed = entry.skipped + kJumpSize;
  if (!padding_end(bytes, function, last.end(), needed)) {
    return fail("{} at +{} ends the function before a jump fits, and code follows", last.mnemonic,
                last.offset);
  }
  while (entry.end < needed) {
    const auto padding = decode_instruction(bytes, function, entry.end);
    if (!padding) return fail("the function is only {} bytes long", bytes.size());
    entry.end = padding->end();
  }
  return {};
}

// A return among the five bytes is moved only when nothing but padding follows.
bool needs_padding(const Entry& entry) {
  return entry.displaced() < kJumpSize || entry.instructions.back().flow == Flow::return_;
}

Result<Entry> take_entry(Bytes bytes, Address function, std::uint32_t skipped) {
  Entry entry{.skipped = skipped, .end = skipped};
  while (entry.displaced() < kJumpSize && entry.falls_through) {
    if (entry.end >= bytes.size()) {
      return fail("the function is only {} bytes long", bytes.size());
    }
    const auto instruction = decode_instruction(bytes, function, entry.end);
    if (!instruction) return fail("unknown instruction at +{}", entry.end);
    if (!is_movable(*instruction)) {
      return fail("{} at +{} cannot be moved", instruction->mnemonic, instruction->offset);
    }
    entry.falls_through = !ends_control(instruction->flow);
    entry.end = instruction->end();
    entry.instructions.push_back(*instruction);
  }
  if (!entry.falls_through && needs_padding(entry)) {
    if (auto taken = take_padding(entry, bytes, function); !taken) {
      return tl::unexpected(taken.error());
    }
  }
  return entry;
}

// Decodes on from the displaced bytes to the end. Bytes that are no instruction (tables, the tail
// of what was cut) are stepped over one by one: reading too much can only refuse too much.
Result<void> check_branches_into(const Entry& entry, Bytes bytes, Address function) {
  const AddressRange displaced = entry.range(function);
  for (std::uint32_t offset = entry.end; offset < bytes.size();) {
    const auto instruction = decode_instruction(bytes, function, offset);
    if (!instruction) {
      ++offset;
      continue;
    }
    const auto target = instruction->branch_target;
    if (target && displaced.contains(*target) && *target != displaced.begin) {
      return fail("{} at +{} goes to +{}, into the bytes the jump would replace",
                  instruction->mnemonic, offset, *target - function);
    }
    offset = instruction->end();
  }
  return {};
}

class Mover {
 public:
  Mover(const Entry& entry, Bytes bytes, Address function, Address trampoline)
      : entry_(entry), bytes_(bytes), function_(function), trampoline_(trampoline) {}

  Result<Relocation> move() {
    assign_places();
    for (const Instruction& instruction : entry_.instructions) {
      if (auto moved = emit(instruction); !moved) return tl::unexpected(moved.error());
    }
    if (entry_.falls_through) {
      if (!emit_branch({0xe9}, function_ + entry_.end)) {
        return fail("the function is out of reach of its trampoline at {:#x}", trampoline_);
      }
    }
    return std::move(result_);
  }

 private:
  static std::uint32_t moved_size(const Instruction& instruction) {
    if (instruction.flow == Flow::conditional_jump) return kWideConditionalSize;
    if (instruction.flow == Flow::jump) return kJumpSize;
    return instruction.length;
  }

  // Places are known before anything is written: a branch may go forward to a moved instruction.
  void assign_places() {
    result_.skipped = entry_.skipped;
    result_.displaced = entry_.displaced();
    std::uint32_t place = 0;
    for (const Instruction& instruction : entry_.instructions) {
      result_.boundaries.push_back({instruction.offset, place});
      place += moved_size(instruction);
    }
  }

  Result<void> emit(const Instruction& instruction) {
    switch (instruction.flow) {
      case Flow::conditional_jump:
        return emit_jump({0x0f, std::uint8_t(0x80 | instruction.condition)}, instruction);
      case Flow::jump:
        return emit_jump({0xe9}, instruction);
      default:
        return copy(instruction);
    }
  }

  Result<void> emit_jump(std::initializer_list<std::uint8_t> opcode,
                         const Instruction& instruction) {
    const auto target = moved_target(*instruction.branch_target);
    if (!target) {
      return fail("{} at +{} goes into the middle of an instruction", instruction.mnemonic,
                  instruction.offset);
    }
    if (!emit_branch(opcode, *target)) return out_of_reach(instruction, *target);
    return {};
  }

  // Where a branch to `target` has to go now; nullopt: it goes between the displaced instructions.
  std::optional<Address> moved_target(Address target) const {
    if (!entry_.range(function_).contains(target)) return target;
    for (const auto& [from, to] : result_.boundaries) {
      if (function_ + from == target) return trampoline_ + to;
    }
    return std::nullopt;
  }

  bool emit_branch(std::initializer_list<std::uint8_t> opcode, Address target) {
    result_.code.insert(result_.code.end(), opcode);
    const auto distance = distance_to(target, trampoline_ + result_.code.size() + 4);
    if (!distance) return false;
    append(*distance);
    return true;
  }

  Result<void> copy(const Instruction& instruction) {
    const std::size_t place = result_.code.size();
    const auto old = bytes_.subspan(instruction.offset, instruction.length);
    result_.code.insert(result_.code.end(), old.begin(), old.end());
    if (!instruction.data_target) return {};

    if (reads_displaced(instruction)) {
      return fail("{} at +{} refers to the bytes the jump would replace", instruction.mnemonic,
                  instruction.offset);
    }
    const auto distance =
        distance_to(*instruction.data_target, trampoline_ + place + instruction.length);
    if (!distance) return out_of_reach(instruction, *instruction.data_target);
    std::memcpy(&result_.code[place + instruction.displacement_at], &*distance, sizeof *distance);
    return {};
  }

  // The function's own address (lea) stays what it was; anything else there would see the jump.
  bool reads_displaced(const Instruction& instruction) const {
    const AddressRange displaced = entry_.range(function_);
    const bool is_own_address =
        !instruction.reads_or_writes_data && *instruction.data_target == displaced.begin;
    return displaced.contains(*instruction.data_target) && !is_own_address;
  }

  static std::optional<std::int32_t> distance_to(Address target, Address next_instruction) {
    const auto distance = static_cast<std::int64_t>(target - next_instruction);
    if (distance != static_cast<std::int32_t>(distance)) return std::nullopt;
    return static_cast<std::int32_t>(distance);
  }

  tl::unexpected<Error> out_of_reach(const Instruction& instruction, Address target) const {
    return fail("{} at +{}: {:#x} is out of reach of the trampoline at {:#x}", instruction.mnemonic,
                instruction.offset, target, trampoline_);
  }

  void append(std::int32_t value) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
    result_.code.insert(result_.code.end(), bytes, bytes + sizeof value);
  }

  const Entry& entry_;
  const Bytes bytes_;
  const Address function_;
  const Address trampoline_;
  Relocation result_;
};

Result<Relocation> relocate_from(Bytes bytes, Address function, Address trampoline,
                                 std::uint32_t skipped) {
  auto entry = take_entry(bytes, function, skipped);
  if (!entry) return tl::unexpected(entry.error());
  if (auto checked = check_branches_into(*entry, bytes, function); !checked) {
    return tl::unexpected(checked.error());
  }
  return Mover(*entry, bytes, function, trampoline).move();
}

}  // namespace

Result<Relocation> relocate_entry(std::span<const std::uint8_t> function_bytes, Address function,
                                  Address trampoline) {
  if (!is_endbr64(function_bytes)) return relocate_from(function_bytes, function, trampoline, 0);
  auto behind = relocate_from(function_bytes, function, trampoline, 4);
  if (behind) return behind;
  // libstdc++'s nothrow operator new: endbr64; sub $8,%rsp; call. Eight bytes before the call, when
  // the endbr64 is given up. No kernel enforces it for user code (6.6 brought shadow stacks only).
  auto over = relocate_from(function_bytes, function, trampoline, 0);
  return over ? over : behind;
}

}  // namespace heapledger
