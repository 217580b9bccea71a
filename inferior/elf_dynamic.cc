// SPDX-License-Identifier: Apache-2.0
//
// Source: System V gABI, chapter "Dynamic Section"; the layout of DT_GNU_HASH as binutils writes
// it.
#include "inferior/elf_dynamic.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

namespace heapledger {
namespace {

constexpr std::uint64_t kMostSymbols = 1u << 24;
constexpr std::size_t kMostName = 4096;

}  // namespace

ElfDynamic::ElfDynamic(std::span<const std::byte> entries, Reader read)
    : entries_(entries), read_(std::move(read)) {}

template <typename T>
std::optional<T> ElfDynamic::at(std::uint64_t address) const {
  const auto bytes = read_(address, sizeof(T));
  if (bytes.size() != sizeof(T)) {
    return std::nullopt;
  }
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::optional<std::uint64_t> ElfDynamic::value(std::int64_t tag) const {
  for (std::size_t at = 0; at + sizeof(Elf64_Dyn) <= entries_.size(); at += sizeof(Elf64_Dyn)) {
    Elf64_Dyn entry;
    std::memcpy(&entry, entries_.data() + at, sizeof entry);
    if (entry.d_tag == tag) {
      return entry.d_un.d_val;
    }
    if (entry.d_tag == DT_NULL) {
      break;
    }
  }
  return std::nullopt;
}

std::string ElfDynamic::soname() const {
  const auto strings = value(DT_STRTAB);
  const auto name = value(DT_SONAME);
  std::string text;
  while (strings && name && text.size() < kMostName) {
    const auto byte = at<char>(*strings + *name + text.size());
    if (!byte || *byte == '\0') {
      break;
    }
    text += *byte;
  }
  return text;
}

// The number of symbols stands nowhere; the last one is the last of the highest chain.
//   header {buckets, first symbol, bloom words, shift}, bloom, buckets, chains (low bit: last)
std::uint64_t ElfDynamic::count_by_gnu_hash(std::uint64_t table) const {
  const auto buckets = at<std::uint32_t>(table);
  const auto first = at<std::uint32_t>(table + 4);
  const auto bloom = at<std::uint32_t>(table + 8);
  if (!buckets || !first || !bloom || *buckets > kMostSymbols) {
    return 0;
  }
  const std::uint64_t bucket_table = table + 16 + std::uint64_t{*bloom} * 8;
  if (read_(bucket_table, 4ull * *buckets).empty()) {
    return 0;
  }
  std::uint32_t highest = 0;
  for (std::uint32_t i = 0; i < *buckets; ++i) {
    highest = std::max(highest, at<std::uint32_t>(bucket_table + 4ull * i).value_or(0));
  }
  if (highest < *first) {
    return *first;
  }
  const std::uint64_t chains = bucket_table + 4ull * *buckets;
  std::uint64_t last = highest;
  while (last < kMostSymbols) {
    const auto hash = at<std::uint32_t>(chains + 4 * (last - *first));
    if (!hash) {
      return 0;
    }
    ++last;
    if ((*hash & 1) != 0) {
      break;
    }
  }
  return last;
}

std::uint64_t ElfDynamic::symbol_count() const {
  if (const auto hash = value(DT_HASH)) {
    return at<std::uint32_t>(*hash + 4).value_or(0);  // nchain
  }
  const auto gnu = value(DT_GNU_HASH);
  return gnu ? count_by_gnu_hash(*gnu) : 0;
}

std::optional<ElfSymbolTable> ElfDynamic::symbols() const {
  const auto symbols = value(DT_SYMTAB);
  const auto strings = value(DT_STRTAB);
  const auto strings_size = value(DT_STRSZ);
  if (!symbols || !strings || !strings_size) {
    return std::nullopt;
  }
  const ElfSymbolTable table{read_(*symbols, symbol_count() * sizeof(Elf64_Sym)),
                             read_(*strings, *strings_size), true};
  return table.symbols.empty() || table.strings.empty() ? std::nullopt : std::optional(table);
}

}  // namespace heapledger
