// SPDX-License-Identifier: Apache-2.0
//
// What the program may do to its own heap: overwrite words where a word means something, and change what
// is mapped. The input says what.
#pragma once

#include <span>

#include "inferior/mappings.h"
#include "tests/fuzz/input.h"

namespace heapledger::fuzz {

class Damage {
 public:
  static constexpr unsigned kMostSteps = 48;

  Damage(Input& input, std::span<const AddressRange> places) : input_(input), places_(places) {}

  // The address of a word in one of the places.
  Address place() {
    const AddressRange& range = places_[input_.number<std::uint8_t>() % places_.size()];
    return range.begin + input_.number<std::uint16_t>() % (range.size() / 8) * 8;
  }

  // `link()`: a value as this allocator stores one. `change(mapping, limit)`: its range may grow to
  // `limit`, where the next one begins.
  template <typename Memory, typename Link, typename Change>
  void to(Memory& memory, Mappings& mappings, Link link, Change change) {
    for (unsigned i = 0; i < kMostSteps && !input_.done(); ++i) {
      if (input_.number<std::uint8_t>() % 8 == 0) {
        const std::size_t changed = input_.number<std::uint8_t>() % mappings.size();
        change(mappings[changed], limit_of(mappings, changed));
      } else {
        const Address at = place();
        memory.write(at, value(link));
      }
    }
  }

 private:
  template <typename Link>
  std::uint64_t value(Link link) {
    switch (input_.number<std::uint8_t>() % 4) {
      case 0: return place();
      case 1: return link();
      case 2: return input_.number<std::uint16_t>();
      default: return input_.number<std::uint64_t>();
    }
  }
  static Address limit_of(const Mappings& mappings, std::size_t i) {
    if (i + 1 < mappings.size()) return mappings[i + 1].range.begin;
    return mappings[i].range.begin + (Address{1} << 32);
  }

  Input& input_;
  std::span<const AddressRange> places_;
};

}  // namespace heapledger::fuzz
