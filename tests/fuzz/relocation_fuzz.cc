// SPDX-License-Identifier: Apache-2.0
//
// The bytes at a function's entry, which a hostile program chooses: what is moved is whole, decodes to
// the same instructions, and leads back.
#include "tests/fuzz/input.h"
#include "tracking/instruction.h"
#include "tracking/relocate.h"

using namespace heapledger;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const Address function = 0x400000 + input.number<std::uint16_t>();
  // Near, or out of reach.
  const Address trampoline = function + (input.number<std::uint8_t>() % 4 == 0 ? 0x90000000 : 0x10000);
  const auto code = input.rest();
  const auto moved = relocate_entry(code, function, trampoline);
  if (!moved) {
    fuzz::require(!moved.error().message.empty());
    return 0;
  }
  fuzz::require(moved->displaced >= kJumpSize && moved->skipped + moved->displaced <= code.size());
  fuzz::require(!moved->boundaries.empty());
  fuzz::require(moved->boundaries.front().from == moved->skipped && moved->boundaries.front().to == 0);
  for (const auto& [from, to] : moved->boundaries) {
    const auto before = decode_instruction(code, function, from);
    const auto after = decode_instruction(moved->code, trampoline, to);
    fuzz::require(before && after && before->mnemonic == after->mnemonic);
    fuzz::require(before->data_target == after->data_target);
  }
  return 0;
}
