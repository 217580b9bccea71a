// SPDX-License-Identifier: Apache-2.0
//
// The input as a file with a path, for parsers that open files.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <span>
#include <string>

#include "inferior/file_in_memory.h"
#include "tests/fuzz/input.h"

namespace heapledger::fuzz {

class InMemory {
 public:
  explicit InMemory(std::span<const std::uint8_t> bytes)
      : descriptor_(file_in_memory(std::as_bytes(bytes), "fuzz").value_or(-1)) {
    require(descriptor_ >= 0);
  }
  ~InMemory() { close(descriptor_); }
  InMemory(const InMemory&) = delete;
  InMemory& operator=(const InMemory&) = delete;

  std::string path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

 private:
  int descriptor_;
};

}  // namespace heapledger::fuzz
