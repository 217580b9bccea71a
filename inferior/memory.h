// SPDX-License-Identifier: Apache-2.0
//
// Reading the inferior's memory, wherever it is (live process, core, a test's bytes).
//
// One virtual function, read_up_to; exact reads and typed reads are written once on top of it.
// A Memory has no notion of mappings: what is unmapped reads as zero bytes read.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include "inferior/address.h"
#include "inferior/result.h"

namespace heapledger {

class Memory {
 public:
  virtual ~Memory() = default;

  // Reads at most out.size() bytes at `address`. Returns the length of the readable prefix, 0 when
  // the first byte is unreadable. May be called with any address; from any thread unless
  // reads_in_parallel() says otherwise.
  virtual std::size_t read_up_to(Address address, std::span<std::byte> out) const = 0;

  // False: only the thread that the debugger called may read, because the debugger's own read takes a
  // lock that this thread may hold.
  virtual bool reads_in_parallel() const { return true; }

  // All of it or an Error that names the first unreadable address.
  Result<void> read(Address address, std::span<std::byte> out) const;

  template <typename T>
    requires std::is_trivially_copyable_v<T>
  std::optional<T> read_value(Address address) const {
    T value;
    if (read_up_to(address, std::as_writable_bytes(std::span(&value, 1))) != sizeof value) {
      return std::nullopt;
    }
    return value;
  }

  // `count` values in one read; nullopt-like empty Result when any byte is unreadable.
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  Result<void> read_array(Address address, std::span<T> out) const {
    return read(address, std::as_writable_bytes(out));
  }

  // Up to `limit` bytes, without the terminating 0.
  std::string read_c_string(Address address, std::size_t limit = 4096) const;
};

}  // namespace heapledger
