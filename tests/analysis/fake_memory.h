// SPDX-License-Identifier: Apache-2.0
//
// A made-up address space: pages of bytes, everything else unmapped.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include "inferior/memory.h"

namespace heapledger::test {

class FakeMemory final : public Memory {
 public:
  // Whole pages, as real memory.
  void map(AddressRange range) {
    for (Address page = range.begin / kPage; page * kPage < range.end; ++page) pages_[page];
  }
  void write(Address address, std::uint64_t word) {
    for (int i = 0; i < 8; ++i) {
      pages_.at((address + i) / kPage)[(address + i) % kPage] = static_cast<std::byte>(word >> 8 * i);
    }
  }
  std::size_t read_up_to(Address address, std::span<std::byte> out) const override {
    std::size_t done = 0;
    while (done < out.size()) {
      const auto page = pages_.find((address + done) / kPage);
      if (page == pages_.end()) break;
      const std::size_t at = (address + done) % kPage;
      const std::size_t n = std::min<std::size_t>(out.size() - done, kPage - at);
      std::memcpy(out.data() + done, page->second.data() + at, n);
      done += n;
    }
    return done;
  }

 private:
  static constexpr std::size_t kPage = 4096;
  std::unordered_map<Address, std::array<std::byte, kPage>> pages_;
};

}  // namespace heapledger::test
