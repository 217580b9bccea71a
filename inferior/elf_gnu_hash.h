// SPDX-License-Identifier: Apache-2.0
//
// The hash table a linker puts beside .dynsym for the loader: a name costs a few words of the file
// instead of a pass over (say) libLLVM's 52,000 symbols. Undefined symbols are not in it.
//
//   header {buckets, first symbol, bloom words, shift}, bloom u64[], buckets u32[], chains u32[]
//   chains[i] belongs to symbol first + i: its name's hash, the low bit set on the last of a bucket
//
// Layout: binutils bfd/elflink.c; the hash is Bernstein's (h * 33 + c).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace heapledger {

class ElfGnuHash {
 public:
  // Nothing when the table is not wholly inside `bytes` or has no buckets.
  static std::optional<ElfGnuHash> parse(std::span<const std::byte> bytes) {
    ElfGnuHash table(bytes);
    const std::uint64_t bloom = table.word(8);
    table.buckets_ = table.word(0);
    table.first_ = table.word(4);
    table.bucket_table_ = 16 + bloom * 8;
    table.chains_ = table.bucket_table_ + std::uint64_t{table.buckets_} * 4;
    if (bytes.size() < 16 || table.buckets_ == 0 || table.chains_ > bytes.size()) {
      return std::nullopt;
    }
    return table;
  }

  // Calls visit(symbol number) for every symbol whose hash is that of `name`, in order, until it
  // returns false. Numbers are not checked against the symbol table.
  template <typename Visit>
  void for_each_candidate(std::string_view name, Visit visit) const {
    const std::uint32_t hash = hash_of(name);
    std::uint64_t number = word(bucket_table_ + hash % buckets_ * 4ull);
    if (number < first_) {
      return;
    }
    for (;; ++number) {
      const std::uint64_t at = chains_ + (number - first_) * 4;
      if (at + 4 > bytes_.size()) {
        return;
      }
      const std::uint32_t found = word(at);
      if ((found | 1) == (hash | 1) && !visit(static_cast<std::uint32_t>(number))) {
        return;
      }
      if ((found & 1) != 0) {
        return;
      }
    }
  }

 private:
  explicit ElfGnuHash(std::span<const std::byte> bytes) : bytes_(bytes) {}

  static std::uint32_t hash_of(std::string_view name) {
    std::uint32_t hash = 5381;
    for (const char c : name) {
      hash = hash * 33 + static_cast<unsigned char>(c);
    }
    return hash;
  }
  std::uint32_t word(std::uint64_t at) const {
    std::uint32_t value = 0;
    if (at + sizeof value <= bytes_.size()) {
      std::memcpy(&value, bytes_.data() + at, sizeof value);
    }
    return value;
  }

  std::span<const std::byte> bytes_;
  std::uint32_t buckets_ = 0;
  std::uint32_t first_ = 0;
  std::uint64_t bucket_table_ = 0;  // offsets into bytes_
  std::uint64_t chains_ = 0;
};

}  // namespace heapledger
