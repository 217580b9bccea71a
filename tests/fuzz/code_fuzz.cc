// SPDX-License-Identifier: Apache-2.0
//
// Code without call frame information, as musl's is: what the unwind rules derive from it. The input is
// the code itself and the functions its symbols claim, so that no byte is spent on a file's headers.
#include "tests/fuzz/elf_with_symbols.h"
#include "tests/fuzz/input.h"
#include "tracking/unwind_rules.h"

using namespace heapledger;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  std::vector<fuzz::Function> functions(input.number<std::uint8_t>() % 8);
  for (auto& [begin, length] : functions) {
    begin = input.number<std::uint16_t>();
    length = input.number<std::uint16_t>();
  }
  // Less than a page is not worth deriving anything for.
  auto code = fuzz::bytes_of(input.rest());
  code.resize(std::max<std::size_t>(code.size() + 64, 8192), std::byte{0xc3});
  const auto elf = fuzz::elf_with_symbols(code, functions);
  const auto table = compile_unwind_rules(*elf);
  fuzz::require(table.has_value());
  for (std::uint64_t at = 0; at < code.size(); ++at) find_rule(*table, fuzz::kCodeAddress + at);
  return 0;
}
