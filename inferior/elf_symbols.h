// SPDX-License-Identifier: Apache-2.0
//
// The symbol tables of one ELF file, indexed by name and by address.
//
// At launch about 40 names are looked up in every module, so a name must cost a hash, not a pass
// over the table. Dynamic symbols come with the linker's hash table; for the others an index is
// built when first asked for (thread-safe). It holds 4-byte numbers only; names stay in the mapped
// file.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "inferior/elf_file.h"
#include "inferior/elf_gnu_hash.h"

namespace heapledger {

// One symbol table and its strings, both inside the file's bytes; possibly unaligned.
struct ElfSymbolTable {
  std::span<const std::byte> symbols;
  std::span<const std::byte> strings;
  bool dynamic = false;
  std::span<const std::byte> gnu_hash = {};  // .gnu.hash of a dynamic table, where there is one
};

class ElfSymbols {
 public:
  explicit ElfSymbols(std::vector<ElfSymbolTable> tables);  // .dynsym first

  std::vector<ElfSymbol> functions(std::string_view name) const;
  std::optional<ElfSymbol> symbol(std::string_view name) const;
  std::optional<ElfSymbol> function_at(std::uint64_t address) const;
  void for_each(const std::function<void(const ElfSymbol&)>& visit) const;

 private:
  struct Function {
    std::uint64_t begin;
    std::uint64_t end;
    std::uint64_t reach;  // largest `end` of this and all earlier functions
    std::uint32_t number;
  };

  std::uint32_t count() const { return count_; }
  Elf64_Sym raw(std::uint32_t number) const;
  const ElfSymbolTable& table_of(std::uint32_t number) const;
  std::string_view name_of(std::uint32_t number, const Elf64_Sym& symbol, std::size_t most = SIZE_MAX) const;
  ElfSymbol make(std::uint32_t number, const Elf64_Sym& symbol) const;
  template <typename Visit>  // bool visit(number, symbol): false ends it
  void for_each_named(std::string_view name, Visit visit) const;
  template <typename Visit>
  bool for_each_hashed(std::string_view name, std::size_t table, Visit visit) const;
  void index_names() const;
  void index_functions() const;

  std::vector<ElfSymbolTable> tables_;
  std::vector<std::uint32_t> first_;               // number of each table's symbol 0
  std::vector<std::optional<ElfGnuHash>> hashes_;  // of each table; those without are indexed here
  std::uint32_t count_ = 0;

  // Open addressing; 0 is empty, else symbol number + 1. Entries of one name are met in order of
  // number.
  mutable std::once_flag names_once_;
  mutable std::vector<std::uint32_t> names_;
  mutable std::once_flag functions_once_;
  mutable std::vector<Function> functions_;  // sorted by begin
};

}  // namespace heapledger
