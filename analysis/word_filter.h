// SPDX-License-Identifier: Apache-2.0
//
// Which words of a buffer can be addresses of blocks at all: those within one of two ranges (the brk
// heap at 0x55.., everything mapped at 0x7f..). Eight words at a time where the processor has AVX2;
// most memory holds no pointers and ends here, at the speed of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "inferior/block.h"

namespace heapledger {

class WordFilter {
 public:
  WordFilter() = default;
  // Two ranges around all blocks, split at the widest gap. `blocks` sorted.
  explicit WordFilter(std::span<const Block> blocks);

  bool passes(std::uint64_t word) const {
    return word - first_.begin < first_.size() || word - second_.begin < second_.size();
  }
  // Writes the positions of the words that pass, ascending, to `out` (room for words.size() + 8).
  std::size_t select(std::span<const std::uint64_t> words, std::uint32_t* out) const;

 private:
  AddressRange first_;
  AddressRange second_;
};

}  // namespace heapledger
