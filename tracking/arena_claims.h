// SPDX-License-Identifier: Apache-2.0
//
// Which parts of the agent's arena were already read. Every object in it is page aligned and has
// its pages for itself; a pointer out of the arena, or to what another pointer led to, is damage -
// and following it is how a hostile inferior would make a reader work for ever.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "inferior/address.h"

namespace heapledger {

class ArenaClaims {
 public:
  static constexpr std::uint64_t kMaxArena = std::uint64_t{1}
                                             << 40;  // the agent takes 2^36

  // `opened` is cut to kMaxArena bytes.
  explicit ArenaClaims(AddressRange opened) : opened_(opened) {
    opened_.end = std::min(opened_.end, opened_.begin + std::min(opened_.size(), kMaxArena));
  }

  // False: not wholly inside, not aligned, or claimed before.
  bool claim(Address address, std::uint64_t bytes) {
    if (address % kPage != 0 || !opened_.contains(address) || bytes > opened_.end - address)
      return false;
    const std::uint64_t first = (address - opened_.begin) / kPage;
    const std::uint64_t last = first + (bytes + kPage - 1) / kPage;
    if (claimed_.size() < last) claimed_.resize(last);
    const auto begin = claimed_.begin() + std::ptrdiff_t(first);
    const auto end = claimed_.begin() + std::ptrdiff_t(last);
    if (std::find(begin, end, true) != end) return false;
    std::fill(begin, end, true);
    return true;
  }

 private:
  static constexpr std::uint64_t kPage = 4096;
  AddressRange opened_;
  std::vector<bool> claimed_;
};

}  // namespace heapledger
