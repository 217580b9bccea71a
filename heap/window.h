// SPDX-License-Identifier: Apache-2.0
//
// Reading single words of a large range: one bulk read per window instead of one call per word.
#pragma once

#include <cstring>
#include <optional>
#include <vector>

#include "inferior/memory.h"

namespace heapledger {

class Window {
 public:
  // `size`: bytes of one read, at least 4 pages; large for streaming, small for following links.
  explicit Window(const Memory& memory, std::uint64_t size = 256 * 1024)
      : memory_(memory), bytes_(size) {}

  // The 8 bytes at `address`, or nothing when they cannot be read. Cheap when addresses rise or
  // fall steadily; any order is right.
  std::optional<std::uint64_t> word(Address address) {
    if (address < begin_ || address + 8 > begin_ + size_ || address + 8 < address) {
      return load(address);
    }
    std::uint64_t value;
    std::memcpy(&value, bytes_.data() + (address - begin_), sizeof value);
    return value;
  }

 private:
  std::optional<std::uint64_t> load(Address address);

  const Memory& memory_;
  std::vector<std::byte> bytes_;
  Address begin_ = 0;
  std::uint64_t size_ = 0;  // readable bytes from begin_
};

}  // namespace heapledger
