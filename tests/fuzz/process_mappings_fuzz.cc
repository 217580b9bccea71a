// SPDX-License-Identifier: Apache-2.0
//
// gdb's list of a remote process's mappings: what the server at the other end said, as text.
#include "python/process_mappings.h"

#include "tests/fuzz/ordered.h"

using namespace heapledger;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto mappings = parse_process_mappings(std::string(fuzz::text_of({data, size})));
  if (!mappings) {
    fuzz::require(!mappings.error().message.empty());
    return 0;
  }
  fuzz::require_order(*mappings);
  return 0;
}
