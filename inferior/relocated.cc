// SPDX-License-Identifier: Apache-2.0
#include "inferior/relocated.h"

#include <elf.h>

#include <cstring>
#include <optional>

namespace heapledger {
namespace {

#ifndef SHT_RELR
constexpr std::uint32_t SHT_RELR = 19;
#endif

template <typename T>
std::optional<T> value_in(std::span<const std::byte> bytes) {
  T value;
  if (bytes.size() < sizeof value) return std::nullopt;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// Its link-time address. The linker puts relative relocations first, in order of their places: as a rule
// it is one that nobody writes to later (.init_array).
std::optional<std::uint64_t> first_relative_word(const ElfFile& elf) {
  for (const ElfSection& section : elf.sections()) {
    if ((section.flags & SHF_ALLOC) == 0) continue;
    if (section.type == SHT_RELR) return value_in<std::uint64_t>(elf.contents(section));
    if (section.type != SHT_RELA) continue;
    const auto first = value_in<Elf64_Rela>(elf.contents(section));
    if (first && ELF64_R_TYPE(first->r_info) == R_X86_64_RELATIVE) return first->r_offset;
  }
  return std::nullopt;
}

}  // namespace

bool is_relocated(const Module& module, const Memory& memory) {
  if (module.bias == 0 || module.elf == nullptr) return true;
  const auto place = first_relative_word(*module.elf);
  if (!place) return true;
  const auto before = value_in<std::uint64_t>(module.elf->at(*place, sizeof(std::uint64_t)));
  const auto now = memory.read_value<std::uint64_t>(module.bias + *place);
  return !before || (now && *now != *before);
}

}  // namespace heapledger
