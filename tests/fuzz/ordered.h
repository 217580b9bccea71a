// SPDX-License-Identifier: Apache-2.0
//
// What everybody who searches mappings takes for granted, wherever they were read from.
#pragma once

#include "inferior/mappings.h"
#include "tests/fuzz/input.h"

namespace heapledger::fuzz {

inline void require_order(const Mappings& mappings) {
  Address end = 0;
  for (const Mapping& mapping : mappings) {
    require(!mapping.range.empty() && mapping.range.begin >= end);
    end = mapping.range.end;
    require(find_mapping(mappings, mapping.range.begin) == &mapping);
    require(find_mapping(mappings, mapping.range.end - 1) == &mapping);
  }
  find_mapping(mappings, 0);
}

}  // namespace heapledger::fuzz
