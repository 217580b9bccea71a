// SPDX-License-Identifier: Apache-2.0
//
// Memory for hand-assembled functions, near an address when that matters.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "inferior/address.h"

namespace heapledger::testing {

using Bytes = std::vector<std::uint8_t>;

class CodePage {
 public:
  static constexpr std::size_t kSize = 1 << 20;

  explicit CodePage(Address near = 0) {
    constexpr int kProtection = PROT_READ | PROT_WRITE | PROT_EXEC;
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
    constexpr Address kStep = 1 << 20;
    void* page = MAP_FAILED;
    for (Address down = kStep; near != 0 && page == MAP_FAILED && down < Address{1} << 30;
         down += kStep) {
      const auto hint = reinterpret_cast<void*>((near - down) & ~Address{4095});
      page = mmap(hint, kSize, kProtection, kFlags | MAP_FIXED_NOREPLACE, -1, 0);
    }
    if (page == MAP_FAILED) page = mmap(nullptr, kSize, kProtection, kFlags, -1, 0);
    begin_ = next_ = reinterpret_cast<Address>(page);
    std::memset(page, 0xcc, kSize);
  }
  ~CodePage() { munmap(reinterpret_cast<void*>(begin_), kSize); }
  CodePage(const CodePage&) = delete;
  CodePage& operator=(const CodePage&) = delete;

  // Room for `size` bytes, 64-byte aligned.
  Address take(std::size_t size) {
    const Address place = next_;
    next_ += (size + 63) & ~std::size_t{63};
    return place;
  }
  Address put(std::span<const std::uint8_t> bytes) {
    const Address place = take(bytes.size());
    write(place, bytes);
    return place;
  }
  static void write(Address place, std::span<const std::uint8_t> bytes) {
    std::memcpy(reinterpret_cast<void*>(place), bytes.data(), bytes.size());
  }

 private:
  Address begin_, next_;
};

template <typename Result = std::uint64_t, typename... Arguments>
Result call(Address function, Arguments... arguments) {
  return reinterpret_cast<Result (*)(Arguments...)>(function)(arguments...);
}

}  // namespace heapledger::testing
