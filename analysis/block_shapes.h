// SPDX-License-Identifier: Apache-2.0
//
// What can be said of blocks that nobody tracked: how large they are, and what their first words look
// like. Untracked blocks of one shape are one group where tracked ones are grouped by stack.
//
// Guesses, and told as such: a first word that is a vtable's address makes an object of that class; text
// up to a 0 makes a string. Freed and reused memory may look like what it held before.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "inferior/mappings.h"
#include "inferior/target.h"
#include "tracking/ledger.h"

namespace heapledger {

struct BlockShape {
  enum class Guess : std::uint8_t { none, object, text };
  std::uint64_t min_size = 0;  // usable bytes, inclusive; min == max below 1 KiB
  std::uint64_t max_size = 0;
  Guess guess = Guess::none;
  Address vtable = 0;          // Guess::object
  std::string type;            // Guess::object: the class, or where its vtable is
  friend bool operator==(const BlockShape&, const BlockShape&) = default;
};

class BlockShapes {
 public:
  BlockShapes() = default;
  // Reads the beginning of every untracked block of the ledger, in order of address.
  BlockShapes(Target& target, const Mappings& mappings, const Ledger& ledger);

  std::size_t count() const { return shapes_.size(); }
  const BlockShape& shape(std::uint32_t id) const { return shapes_[id]; }
  // Of the block at this position in Ledger::untracked().
  std::uint32_t id_of(std::size_t block) const { return ids_[block]; }

 private:
  std::vector<BlockShape> shapes_;
  std::vector<std::uint16_t> ids_;
};

// "48 usable bytes, object of Foo", "4096 to 8191 usable bytes, text".
std::string shape_words(const BlockShape& shape);

}  // namespace heapledger
