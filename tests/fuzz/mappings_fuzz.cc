// SPDX-License-Identifier: Apache-2.0
//
// The text of /proc/PID/maps: names are the program's, and may hold anything but a line feed.
#include "inferior/mappings.h"

#include "tests/fuzz/input.h"

using namespace heapledger;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto mappings = parse_mappings(fuzz::text_of({data, size}));
  if (!mappings) {
    fuzz::require(mappings.error().message.find('\n') == std::string::npos);
    return 0;
  }
  Address end = 0;
  for (const Mapping& mapping : *mappings) {
    fuzz::require(mapping.range.begin >= end && !mapping.range.empty());
    end = mapping.range.end;
    fuzz::require(find_mapping(*mappings, mapping.range.begin) == &mapping);
    fuzz::require(find_mapping(*mappings, mapping.range.end - 1) == &mapping);
  }
  find_mapping(*mappings, 0);
  return 0;
}
