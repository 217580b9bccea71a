// SPDX-License-Identifier: Apache-2.0
//
// An ELF file of one executable segment with functions in .symtab.
#pragma once

#include <elf.h>

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "inferior/elf_file.h"
#include "tests/fuzz/input.h"

namespace heapledger::fuzz {

inline constexpr std::uint64_t kCodeAddress = 0x400000;

struct Function {
  std::uint32_t begin = 0, length = 0;  // from kCodeAddress
};

namespace detail {

template <typename T>
void append(std::vector<std::byte>& file, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  file.insert(file.end(), bytes.begin(), bytes.end());
}

}  // namespace detail

// header, program header, code, symbols, strings, section headers
inline std::shared_ptr<const ElfFile> elf_with_symbols(std::span<const std::byte> code,
                                                       std::span<const Function> functions) {
  constexpr char kStrings[] = "\0f";
  const std::uint64_t code_at = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
  const std::uint64_t symbols_at = code_at + code.size();
  const std::uint64_t symbols_size = (functions.size() + 1) * sizeof(Elf64_Sym);
  const std::uint64_t strings_at = symbols_at + symbols_size;

  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = header.e_version = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_entry = kCodeAddress;
  header.e_ehsize = header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  header.e_shoff = strings_at + sizeof kStrings;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 3;
  header.e_shstrndx = 2;

  std::vector<std::byte> file;
  detail::append(file, header);
  detail::append(file, Elf64_Phdr{PT_LOAD, PF_R | PF_X, code_at, kCodeAddress, kCodeAddress,
                                  code.size(), code.size(), 4096});
  file.insert(file.end(), code.begin(), code.end());
  detail::append(file, Elf64_Sym{});
  for (const Function& function : functions) {
    detail::append(file, Elf64_Sym{1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1,
                                   kCodeAddress + function.begin, function.length});
  }
  detail::append(file, kStrings);
  detail::append(file, Elf64_Shdr{});
  detail::append(file, Elf64_Shdr{1, SHT_SYMTAB, 0, 0, symbols_at, symbols_size, 2, 1, 8,
                                  sizeof(Elf64_Sym)});
  detail::append(file, Elf64_Shdr{1, SHT_STRTAB, 0, 0, strings_at, sizeof kStrings, 0, 0, 1, 0});
  auto elf = ElfFile::from_bytes(std::move(file), "made up");
  require(elf.has_value());
  return *elf;
}

}  // namespace heapledger::fuzz
