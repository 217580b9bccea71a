// SPDX-License-Identifier: Apache-2.0
//
// What the project needs of an ELF file (64-bit little-endian x86-64), read with libelf: segments,
// sections, symbols, build-id, type. An ElfFile keeps the whole file mapped and is immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "inferior/result.h"

namespace heapledger {

struct ElfSegment {  // a program header
  std::uint32_t type;   // PT_*
  std::uint32_t flags;  // PF_*
  std::uint64_t offset, address, file_size, memory_size, alignment;
};

struct ElfSection {
  std::string name;
  std::uint32_t type;  // SHT_*
  std::uint64_t flags, address, offset, size;
};

struct ElfSymbol {
  std::string_view name;  // without version ("@GLIBC_2.2.5" is cut); as long as the ElfFile is there
  std::uint64_t value;    // link-time address; for STT_GNU_IFUNC the resolver's
  std::uint64_t size;
  std::uint8_t type;      // STT_*
  std::uint8_t binding;   // STB_*
  bool dynamic;           // from .dynsym
};

class ElfFile {
 public:
  // The file at `path`; the Error names the path and what is wrong with it (not ELF, 32-bit, other
  // machine, truncated).
  static Result<std::shared_ptr<const ElfFile>> open(const std::string& path);
  // The same of a file already opened; `name` is what it is called in messages. Keeps no descriptor.
  static Result<std::shared_ptr<const ElfFile>> from_descriptor(int descriptor, std::string name);
  // An ELF image held in memory (the agent's own; the vdso as read from a process).
  static Result<std::shared_ptr<const ElfFile>> from_bytes(std::vector<std::byte> bytes,
                                                           std::string name);
  ~ElfFile();

  const std::string& name() const;  // path or given name
  std::uint16_t type() const;       // ET_EXEC, ET_DYN, ET_CORE ...
  std::uint64_t entry() const;
  bool has_interpreter() const;     // PT_INTERP: false for static and static-PIE programs
  std::span<const ElfSegment> segments() const;  // in the file; those of a core may reach beyond it
  std::span<const ElfSection> sections() const;
  const ElfSection* section(std::string_view name) const;
  std::span<const std::byte> bytes() const;                       // the whole file
  std::span<const std::byte> program_headers() const;             // the table, a part of it
  std::span<const std::byte> contents(const ElfSection&) const;   // empty for SHT_NOBITS
  std::string build_id() const;     // lower-case hex, empty when there is none
  std::string soname() const;       // DT_SONAME, empty when there is none

  // Bytes at link-time address [address, address + size) as the file has them; empty when they are
  // not (wholly) in the file.
  std::span<const std::byte> at(std::uint64_t address, std::size_t size) const;

  // Defined function symbols called `name` in .dynsym and .symtab (no duplicates by value).
  std::vector<ElfSymbol> functions(std::string_view name) const;
  // Any defined symbol called `name` (function, object, TLS), .dynsym first.
  std::optional<ElfSymbol> symbol(std::string_view name) const;
  bool has_symbol_table() const;    // a .symtab is there
  // The function symbol whose [value, value + size) contains a link-time address.
  std::optional<ElfSymbol> function_at(std::uint64_t address) const;
  void for_each_symbol(const std::function<void(const ElfSymbol&)>& visit) const;

 private:
  ElfFile();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace heapledger
