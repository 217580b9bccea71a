// SPDX-License-Identifier: Apache-2.0
//
// Symbol lookup by name (an open-addressing table of symbol numbers) and by address (a sorted
// list). Source: System V gABI, chapter "Symbol Table".
#include "inferior/elf_symbols.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace heapledger {
namespace {

bool is_defined(const Elf64_Sym& s) { return s.st_shndx != SHN_UNDEF && s.st_name != 0; }

bool is_function(const Elf64_Sym& s) {
  const auto type = ELF64_ST_TYPE(s.st_info);
  return type == STT_FUNC || type == STT_GNU_IFUNC;
}

// "malloc@@GLIBC_2.2.5" in a .symtab names malloc.
std::string_view without_version(std::string_view name) {
  const std::size_t at = name.find('@');
  return at == std::string_view::npos || at == 0 ? name : name.substr(0, at);
}

std::size_t hash_of(std::string_view name) { return std::hash<std::string_view>{}(name); }

// Among symbols at one place: the one people know it by.
int rank(const Elf64_Sym& s) {
  switch (ELF64_ST_BIND(s.st_info)) {
    case STB_GLOBAL:
      return 0;
    case STB_WEAK:
      return 1;
    default:
      return 2;
  }
}

}  // namespace

ElfSymbols::ElfSymbols(std::vector<ElfSymbolTable> tables) : tables_(std::move(tables)) {
  for (ElfSymbolTable& table : tables_) {
    constexpr std::size_t kMost = std::size_t{1} << 30;  // keeps numbers within 31 bits
    const std::size_t room = kMost - count_;
    const std::size_t symbols = std::min(table.symbols.size() / sizeof(Elf64_Sym), room);
    table.symbols = table.symbols.first(symbols * sizeof(Elf64_Sym));
    first_.push_back(count_);
    hashes_.push_back(ElfGnuHash::parse(table.gnu_hash));
    count_ += static_cast<std::uint32_t>(symbols);
  }
}

const ElfSymbolTable& ElfSymbols::table_of(std::uint32_t number) const {
  std::size_t i = tables_.size() - 1;
  while (number < first_[i]) {
    --i;
  }
  return tables_[i];
}

Elf64_Sym ElfSymbols::raw(std::uint32_t number) const {
  const ElfSymbolTable& table = table_of(number);
  const std::uint32_t first = first_[static_cast<std::size_t>(&table - tables_.data())];
  Elf64_Sym symbol;
  std::memcpy(&symbol, table.symbols.data() + std::size_t{number - first} * sizeof symbol,
              sizeof symbol);
  return symbol;
}

// At most `most` bytes of it.
std::string_view ElfSymbols::name_of(std::uint32_t number, const Elf64_Sym& symbol,
                                     std::size_t most) const {
  const auto strings = table_of(number).strings;
  if (symbol.st_name >= strings.size()) {
    return {};
  }
  const char* begin = reinterpret_cast<const char*>(strings.data()) + symbol.st_name;
  return without_version({begin, strnlen(begin, std::min(strings.size() - symbol.st_name, most))});
}

ElfSymbol ElfSymbols::make(std::uint32_t number, const Elf64_Sym& s) const {
  return {name_of(number, s),
          s.st_value,
          s.st_size,
          static_cast<std::uint8_t>(ELF64_ST_TYPE(s.st_info)),
          static_cast<std::uint8_t>(ELF64_ST_BIND(s.st_info)),
          table_of(number).dynamic};
}

// Hostile files can make every name equal or every hash collide; the number of probes of one insert
// is therefore bounded, what finds no place within it is not found by name.
constexpr std::size_t kMostProbes = 4096;
constexpr std::size_t kMostFound = 64;  // functions of one name
// All names may be the one that fills the file: longer ones are told, but not found by name.
constexpr std::size_t kLongestSought = 1024;

void ElfSymbols::index_names() const {
  std::vector<std::uint32_t> numbers;
  for (std::size_t table = 0; table < tables_.size(); ++table) {
    const std::uint32_t end = table + 1 < tables_.size() ? first_[table + 1] : count_;
    for (std::uint32_t i = first_[table]; !hashes_[table] && i < end; ++i) {
      if (is_defined(raw(i))) {
        numbers.push_back(i);
      }
    }
  }
  names_.assign(std::bit_ceil(numbers.size() * 2 + 1), 0);
  const std::size_t mask = names_.size() - 1;
  for (const std::uint32_t i : numbers) {
    const std::string_view name = name_of(i, raw(i), kLongestSought);
    if (name.size() == kLongestSought) {
      continue;
    }
    std::size_t slot = hash_of(name) & mask;
    for (std::size_t probe = 0; probe < kMostProbes; ++probe, slot = (slot + 1) & mask) {
      if (names_[slot] == 0) {
        names_[slot] = i + 1;
        break;
      }
    }
  }
}

// False when `visit` has ended it.
template <typename Visit>
bool ElfSymbols::for_each_hashed(std::string_view name, std::size_t table, Visit visit) const {
  const std::uint64_t symbols = tables_[table].symbols.size() / sizeof(Elf64_Sym);
  bool go_on = true;
  hashes_[table]->for_each_candidate(name, [&](std::uint32_t number) {
    if (number < symbols) {
      const Elf64_Sym symbol = raw(first_[table] + number);
      go_on = !is_defined(symbol) || name_of(first_[table] + number, symbol, kLongestSought) != name ||
              visit(first_[table] + number, symbol);
    }
    return go_on && number < symbols;
  });
  return go_on;
}

template <typename Visit>
void ElfSymbols::for_each_named(std::string_view name, Visit visit) const {
  for (std::size_t table = 0; table < tables_.size(); ++table) {
    if (hashes_[table] && !for_each_hashed(name, table, visit)) {
      return;
    }
  }
  std::call_once(names_once_, [this] { index_names(); });
  const std::size_t mask = names_.size() - 1;
  std::size_t slot = hash_of(name) & mask;
  for (std::size_t probe = 0; probe < kMostProbes && names_[slot] != 0; ++probe) {
    const std::uint32_t number = names_[slot] - 1;
    const Elf64_Sym symbol = raw(number);
    if (name_of(number, symbol, kLongestSought) == name && !visit(number, symbol)) {
      return;
    }
    slot = (slot + 1) & mask;
  }
}

std::vector<ElfSymbol> ElfSymbols::functions(std::string_view name) const {
  std::vector<ElfSymbol> found;
  for_each_named(name, [&](std::uint32_t number, const Elf64_Sym& symbol) {
    const bool known = std::any_of(found.begin(), found.end(), [&](const ElfSymbol& other) {
      return other.value == symbol.st_value;
    });
    if (is_function(symbol) && !known) {
      found.push_back(make(number, symbol));
    }
    return found.size() < kMostFound;
  });
  return found;
}

std::optional<ElfSymbol> ElfSymbols::symbol(std::string_view name) const {
  std::optional<ElfSymbol> found;
  for_each_named(name, [&](std::uint32_t number, const Elf64_Sym& symbol) {
    const auto type = ELF64_ST_TYPE(symbol.st_info);
    if (type == STT_FILE || type == STT_SECTION) {
      return true;
    }
    found = make(number, symbol);
    return false;
  });
  return found;
}

void ElfSymbols::index_functions() const {
  for (std::uint32_t i = 0; i < count(); ++i) {
    const Elf64_Sym s = raw(i);
    if (is_defined(s) && is_function(s) && s.st_size != 0 && s.st_value + s.st_size > s.st_value) {
      functions_.push_back({s.st_value, s.st_value + s.st_size, 0, i});
    }
  }
  std::sort(functions_.begin(), functions_.end(), [this](const Function& a, const Function& b) {
    if (a.begin != b.begin) {
      return a.begin < b.begin;
    }
    const int ra = rank(raw(a.number));
    const int rb = rank(raw(b.number));
    return ra != rb ? ra > rb : a.number > b.number;  // the preferred one last: it is met first
  });
  std::uint64_t reach = 0;
  for (Function& function : functions_) {
    function.reach = reach = std::max(reach, function.end);
  }
}

std::optional<ElfSymbol> ElfSymbols::function_at(std::uint64_t address) const {
  std::call_once(functions_once_, [this] { index_functions(); });
  auto it = std::upper_bound(
      functions_.begin(), functions_.end(), address,
      [](std::uint64_t a, const Function& function) { return a < function.begin; });
  while (it != functions_.begin() && std::prev(it)->reach > address) {
    --it;
    if (address < it->end) {
      return make(it->number, raw(it->number));
    }
  }
  return std::nullopt;
}

void ElfSymbols::for_each(const std::function<void(const ElfSymbol&)>& visit) const {
  for (std::uint32_t i = 0; i < count(); ++i) {
    const Elf64_Sym symbol = raw(i);
    if (is_defined(symbol)) {
      visit(make(i, symbol));
    }
  }
}

}  // namespace heapledger
