// SPDX-License-Identifier: Apache-2.0
//
// What is left of the program's mappings after everything it did to them: the records of mmap,
// mremap and shmat in the order they happened, less the ranges released or mapped over since.
//
//   mmap   |--------------|
//   munmap      |---|               ->   |----|   |----|
//   mmap over              |---|
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "inferior/address.h"

namespace heapledger {

struct MappingEvent {
  enum class Action : std::uint8_t {
    map,
    unmap,
    detach
  };  // detach: all that is left of the segment
      // that was attached at range.begin
  std::uint64_t sequence = 0;
  AddressRange range;
  Action action = Action::map;
};

struct MappedPiece {
  AddressRange range;
  std::size_t event = 0;  // which `map` it is left of
};

// Sorted by address, disjoint. Events in any order; equal sequences keep theirs.
std::vector<MappedPiece> replay_mappings(const std::vector<MappingEvent>& events);

}  // namespace heapledger
