// SPDX-License-Identifier: Apache-2.0
//
// The dynamic segment: what the loader reads of a file. It names the dynamic symbols where there
// are no section headers (a stripped-to-the-bone file, an image taken from memory).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "inferior/elf_symbols.h"

namespace heapledger {

class ElfDynamic {
 public:
  // Bytes at link-time addresses, empty when not wholly in the file.
  using Reader = std::function<std::span<const std::byte>(std::uint64_t address, std::size_t size)>;

  // `entries`: contents of PT_DYNAMIC. Everything later is bounded by what `read` gives.
  ElfDynamic(std::span<const std::byte> entries, Reader read);

  std::string soname() const;
  std::optional<ElfSymbolTable> symbols() const;

 private:
  std::optional<std::uint64_t> value(std::int64_t tag) const;
  std::uint64_t symbol_count() const;
  std::uint64_t count_by_gnu_hash(std::uint64_t table) const;
  template <typename T>
  std::optional<T> at(std::uint64_t address) const;

  std::span<const std::byte> entries_;
  Reader read_;
};

}  // namespace heapledger
