// SPDX-License-Identifier: Apache-2.0
//
// Reading DWARF's encodings from bytes that may be damaged: a read past the end gives 0 and leaves
// the cursor at the end with failed() set, so that a loop ends and the caller checks once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace heapledger {

class ByteCursor {
 public:
  // `address` is the link-time address of the first byte (pc-relative values need it).
  ByteCursor(std::span<const std::byte> bytes, std::uint64_t address)
      : next_(bytes.data()), end_(bytes.data() + bytes.size()), address_(address) {}

  bool done() const { return next_ == end_; }
  bool failed() const { return failed_; }
  std::uint64_t address() const { return address_; }  // of the next byte
  std::span<const std::byte> rest() const { return {next_, end_}; }

  template <typename T>
  T fixed() {
    T value{};
    const std::span<const std::byte> bytes = take(sizeof value);
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }

  // `size` bytes, or none (and failed) when there are fewer.
  std::span<const std::byte> take(std::uint64_t size) {
    if (size > std::uint64_t(end_ - next_)) {
      failed_ = true;
      size = 0;
      address_ += std::uint64_t(end_ - next_);
      next_ = end_;
    }
    const std::span<const std::byte> taken(next_, std::size_t(size));
    next_ += size;
    address_ += size;
    return taken;
  }

  // LEB128, DWARF 5 section 7.6. Bits past the 64th are dropped.
  std::uint64_t uleb() { return leb().value; }
  std::int64_t sleb() {
    const Leb number = leb();
    const bool negative = number.bits < 64 && (number.last & 0x40) != 0;
    return std::int64_t(negative ? number.value | ~std::uint64_t{0} << number.bits : number.value);
  }

 private:
  struct Leb {
    std::uint64_t value = 0;
    unsigned bits = 0;
    std::uint8_t last = 0;
  };
  Leb leb() {
    Leb number;
    do {
      number.last = fixed<std::uint8_t>();
      if (number.bits < 64) number.value |= std::uint64_t(number.last & 0x7f) << number.bits;
      number.bits += 7;
    } while ((number.last & 0x80) != 0);
    return number;
  }

  const std::byte* next_;
  const std::byte* end_;
  std::uint64_t address_;
  bool failed_ = false;
};

// DW_EH_PE_* (Linux Standard Base, section 10.5): the low four bits say how the value is written,
// the next three what it is relative to. Values relative to text or data are taken as they are:
// x86-64 has no such base. nullopt: omitted, indirect, relative to a function, or damaged.
inline std::optional<std::uint64_t> read_encoded_pointer(ByteCursor& cursor,
                                                         std::uint8_t encoding) {
  const std::uint64_t place = cursor.address();
  if (encoding == 0x50) cursor.take((8 - place % 8) % 8);  // aligned absolute
  std::uint64_t value = 0;
  switch (encoding & 0x0f) {
    case 0x00:
    case 0x04:
    case 0x08:
    case 0x0c: value = cursor.fixed<std::uint64_t>(); break;
    case 0x01: value = cursor.uleb(); break;
    case 0x02: value = cursor.fixed<std::uint16_t>(); break;
    case 0x03: value = cursor.fixed<std::uint32_t>(); break;
    case 0x09: value = std::uint64_t(cursor.sleb()); break;
    case 0x0a: value = std::uint64_t(std::int64_t{cursor.fixed<std::int16_t>()}); break;
    case 0x0b: value = std::uint64_t(std::int64_t{cursor.fixed<std::int32_t>()}); break;
    default: return std::nullopt;
  }
  if (cursor.failed()) return std::nullopt;
  switch (encoding & 0xf0) {
    case 0x00:
    case 0x20:
    case 0x30: return value;
    case 0x50: return encoding == 0x50 ? std::optional(value) : std::nullopt;
    case 0x10: return place + value;
    default: return std::nullopt;
  }
}

}  // namespace heapledger
