// SPDX-License-Identifier: Apache-2.0
//
// The text of /proc/PID/maps: names are the program's, and may hold anything but a line feed.
#include "inferior/mappings.h"

#include "tests/fuzz/ordered.h"

using namespace heapledger;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto mappings = parse_mappings(fuzz::text_of({data, size}));
  if (!mappings) {
    fuzz::require(mappings.error().message.find('\n') == std::string::npos);
    return 0;
  }
  fuzz::require_order(*mappings);
  return 0;
}
