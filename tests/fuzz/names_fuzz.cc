// SPDX-License-Identifier: Apache-2.0
//
// A name that the program chose - of a symbol, module, thread or file - on its way to a terminal.
#include "inferior/demangle.h"
#include "inferior/printable.h"
#include "tests/fuzz/input.h"

using namespace heapledger;

namespace {

// C1 controls are two bytes, the first of them 0xc2.
bool has_controls(const std::string& text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view name = fuzz::text_of({data, size});
  fuzz::require(demangled(name).size() <= 1 << 16);
  const std::string mangled = demangled("_Z" + std::string(name));
  fuzz::require(mangled.size() <= 1 << 16);
  for (const std::string& shown : {one_line(name), one_line(mangled)}) {
    fuzz::require(!has_controls(shown));
    fuzz::require(one_line(shown) == shown);
  }
  printable(name);
  return 0;
}
