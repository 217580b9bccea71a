// SPDX-License-Identifier: Apache-2.0
//
// What a fuzz target makes of its bytes: numbers and pieces in the order they are asked for. Nothing is
// left: zeros and empty pieces, so that every input means something.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace heapledger::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  bool done() const { return rest_.empty(); }

  template <typename T>
    requires std::is_integral_v<T>
  T number() {
    T value{};
    const auto bytes = piece(sizeof value);
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  // Below `limit`; 0 for a limit of 0.
  std::uint32_t below(std::uint32_t limit) {
    const auto value = number<std::uint32_t>();
    return limit == 0 ? 0 : value % limit;
  }
  std::span<const std::uint8_t> piece(std::size_t size) {
    const auto taken = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  std::span<const std::uint8_t> rest() { return piece(rest_.size()); }

 private:
  std::span<const std::uint8_t> rest_;
};

inline std::vector<std::byte> bytes_of(std::span<const std::uint8_t> piece) {
  const auto bytes = std::as_bytes(piece);
  return {bytes.begin(), bytes.end()};
}

inline std::string_view text_of(std::span<const std::uint8_t> piece) {
  return {reinterpret_cast<const char*>(piece.data()), piece.size()};
}

// A property that does not hold is as bad as a crash.
inline void require(bool holds) {
  if (!holds) __builtin_trap();
}

}  // namespace heapledger::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
