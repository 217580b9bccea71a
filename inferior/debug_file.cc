// SPDX-License-Identifier: Apache-2.0
#include "inferior/debug_file.h"

#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <libelf.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "inferior/demangle.h"
#include "inferior/separate_debug_file.h"

namespace heapledger {
namespace {

struct DwarfEnd {
  void operator()(Dwarf* dwarf) const { dwarf_end(dwarf); }
};
struct ElfEnd {
  void operator()(Elf* elf) const { elf_end(elf); }
};
struct FreeScopes {
  void operator()(Dwarf_Die* scopes) const { std::free(scopes); }
};

struct Place {
  std::string file;
  std::uint32_t line = 0;
};

bool is_compressed(const ElfFile& file) {
  const auto sections = file.sections();
  return std::any_of(sections.begin(), sections.end(), [](const ElfSection& section) {
    return (section.flags & SHF_COMPRESSED) != 0 || section.name.starts_with(".zdebug");
  });
}

// The debug information of one file, read where the file is mapped.
class DebugInformation {
 public:
  DebugInformation() = default;
  explicit DebugInformation(std::shared_ptr<const ElfFile> file) : file_(std::move(file)) {
    constexpr std::size_t kMostCopied = std::size_t{2} << 30;  // bytes
    std::span<const std::byte> bytes = file_->bytes();
    if (is_compressed(*file_)) {
      // libdw has sections uncompressed, and libelf notes that in their headers, in the image.
      if (bytes.size() > kMostCopied) return;
      copy_.assign(bytes.begin(), bytes.end());
      bytes = copy_;
    }
    // Else elf_memory takes a char* but does not write to an image it is never asked to change.
    auto* image = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
    elf_.reset(elf_memory(image, bytes.size()));
    if (elf_ != nullptr) dwarf_.reset(dwarf_begin_elf(elf_.get(), DWARF_C_READ, nullptr));
  }
  Dwarf* get() const { return dwarf_.get(); }

 private:
  std::shared_ptr<const ElfFile> file_;
  std::vector<std::byte> copy_;
  std::unique_ptr<Elf, ElfEnd> elf_;
  std::unique_ptr<Dwarf, DwarfEnd> dwarf_;
};

bool has_debug_information(const ElfFile& file) {
  return file.section(".debug_info") != nullptr || file.section(".zdebug_info") != nullptr;
}

struct Unit {  // code of one compilation unit
  std::uint64_t begin, end;
  Dwarf_Die die;
};

std::string text_of(const char* text) { return text == nullptr ? "" : text; }

// Of the DIE, or of the one it is an instance or the definition of.
std::optional<std::string> attribute_text(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  if (dwarf_attr_integrate(die, name, &attribute) == nullptr) return std::nullopt;
  const char* text = dwarf_formstring(&attribute);
  return text == nullptr ? std::nullopt : std::optional<std::string>(text);
}

std::optional<std::string> linkage_name(Dwarf_Die* die) {
  auto name = attribute_text(die, DW_AT_linkage_name);
  return name ? name : attribute_text(die, DW_AT_MIPS_linkage_name);
}

std::string function_name(Dwarf_Die* die) {
  const auto linked = linkage_name(die);
  return linked ? demangled(*linked) : text_of(dwarf_diename(die));
}

std::uint32_t attribute_number(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (dwarf_attr(die, name, &attribute) == nullptr) return 0;
  return dwarf_formudata(&attribute, &value) == 0 ? std::uint32_t(value) : 0;
}

Place call_site(Dwarf_Die* inlined, Dwarf_Die* unit) {
  Dwarf_Files* files = nullptr;
  std::size_t count = 0;
  const std::uint32_t file = attribute_number(inlined, DW_AT_call_file);
  const std::uint32_t line = attribute_number(inlined, DW_AT_call_line);
  if (line == 0 || dwarf_getsrcfiles(unit, &files, &count) != 0 || file >= count) return {};
  return {text_of(dwarf_filesrc(files, file, nullptr, nullptr)), line};
}

// Line 0 is the compiler's own code: it belongs to no line.
Place line_at(Dwarf_Die* unit, std::uint64_t address) {
  Dwarf_Line* line = dwarf_getsrc_die(unit, address);
  int number = 0;
  if (line == nullptr || dwarf_lineno(line, &number) != 0 || number == 0) return {};
  return {text_of(dwarf_linesrc(line, nullptr, nullptr)), std::uint32_t(number)};
}

// The place in memory of a variable that has one for the whole run.
std::optional<std::uint64_t> fixed_address(Dwarf_Die* variable) {
  Dwarf_Attribute attribute;
  Dwarf_Op* operations = nullptr;
  std::size_t count = 0;
  if (dwarf_attr(variable, DW_AT_location, &attribute) == nullptr) return std::nullopt;
  if (dwarf_getlocation(&attribute, &operations, &count) != 0 || count != 1) return std::nullopt;
  if (operations[0].atom != DW_OP_addr) return std::nullopt;
  return operations[0].number;
}

bool may_hold_variables(Dwarf_Die* die) {
  switch (dwarf_tag(die)) {
    case DW_TAG_namespace:
    case DW_TAG_subprogram:
    case DW_TAG_lexical_block:
      return true;
    default:
      return false;
  }
}

bool is_code(const ElfFile& file, std::uint64_t address) {
  const auto sections = file.sections();
  return std::any_of(sections.begin(), sections.end(), [&](const ElfSection& section) {
    return (section.flags & SHF_EXECINSTR) != 0 && section.address <= address &&
           address < section.address + section.size;
  });
}

// Symbols of the same address are aliases; the global one that is not glibc's internal spelling
// says most.
int preference(const ElfSymbol& symbol) {
  return (symbol.binding == STB_GLOBAL ? 4 : symbol.binding == STB_WEAK ? 2 : 0) +
         (symbol.name.starts_with("__GI_") ? 0 : 1);
}

}  // namespace

struct DebugFile::Impl {
  std::shared_ptr<const ElfFile> elf;
  DebugInformation alternate, information;
  Dwarf* dwarf = nullptr;
  std::vector<Unit> units;                              // sorted by address
  std::vector<ElfSymbol> functions, objects;            // sorted by address
  std::vector<ElfSymbol> labels;  // of code, without a type: musl's _start
  std::optional<std::map<std::uint64_t, Place>> declarations;  // of variables, by address

  void open(const std::string& directories);
  void read_units();
  void read_symbols(const ElfFile& file);
  void sort_symbols(std::vector<ElfSymbol>& symbols);
  const Unit* unit_at(std::uint64_t address) const;
  const ElfSymbol* symbol_at(const std::vector<ElfSymbol>& symbols, std::uint64_t address) const;
  void collect_declarations(Dwarf_Die* parent);
  const std::map<std::uint64_t, Place>& all_declarations();
};

void DebugFile::Impl::open(const std::string& directories) {
  std::shared_ptr<const ElfFile> debug = elf;
  if (!has_debug_information(*elf)) {
    debug = separate_debug_file(*elf, directories);
    if (debug == nullptr) return;
    read_symbols(*debug);
  }
  information = DebugInformation(debug);
  dwarf = information.get();
  if (dwarf == nullptr || !has_alternate_debug_file(*debug)) return;
  // Left to itself libdw opens whatever stands there under that name.
  const auto other = alternate_debug_file(*debug, directories);
  if (other != nullptr && !has_alternate_debug_file(*other)) alternate = DebugInformation(other);
  if (alternate.get() != nullptr) {
    dwarf_setalt(dwarf, alternate.get());
  } else {
    dwarf = nullptr;
  }
}

// Of a unit whose rest is in a .dwo file, what it has itself: asked for more, libdw opens the file.
bool may_be_read(Dwarf_Die* unit) {
  std::uint8_t type = 0;
  if (dwarf_cu_info(unit->cu, nullptr, &type, nullptr, nullptr, nullptr, nullptr, nullptr) != 0) return false;
  if (type != DW_UT_skeleton) return true;
  const int tag = dwarf_tag(unit);
  return (tag == DW_TAG_skeleton_unit || tag == DW_TAG_compile_unit) &&
         (dwarf_hasattr(unit, DW_AT_low_pc) || dwarf_hasattr(unit, DW_AT_ranges));
}

void DebugFile::Impl::read_units() {
  if (dwarf == nullptr) return;
  Dwarf_Off offset = 0, next = 0;
  std::size_t header_size = 0;
  while (dwarf_nextcu(dwarf, offset, &next, &header_size, nullptr, nullptr, nullptr) == 0) {
    Unit unit{};
    if (dwarf_offdie(dwarf, offset + header_size, &unit.die) != nullptr && may_be_read(&unit.die)) {
      Dwarf_Addr base = 0, begin = 0, end = 0;
      std::ptrdiff_t at = 0;
      while ((at = dwarf_ranges(&unit.die, at, &base, &begin, &end)) > 0) {
        unit.begin = begin;
        unit.end = end;
        // A function the linker dropped keeps its debug information, at address 0.
        if (begin != 0 && begin < end) units.push_back(unit);
      }
    }
    offset = next;
  }
  std::sort(units.begin(), units.end(),
            [](const Unit& a, const Unit& b) { return a.begin < b.begin; });
}

void DebugFile::Impl::read_symbols(const ElfFile& file) {
  file.for_each_symbol([&](const ElfSymbol& symbol) {
    if (symbol.name.empty()) return;
    if (symbol.type == STT_FUNC || symbol.type == STT_GNU_IFUNC) functions.push_back(symbol);
    if (symbol.type == STT_OBJECT) objects.push_back(symbol);
    if (symbol.type == STT_NOTYPE && is_code(file, symbol.value)) labels.push_back(symbol);
  });
}

void DebugFile::Impl::sort_symbols(std::vector<ElfSymbol>& symbols) {
  std::sort(symbols.begin(), symbols.end(), [](const ElfSymbol& a, const ElfSymbol& b) {
    if (a.value != b.value) return a.value < b.value;
    const int pa = preference(a), pb = preference(b);
    constexpr std::size_t kCompared = 256;  // all names may be the one that fills the file
    return pa != pb ? pa > pb : a.name.substr(0, kCompared) < b.name.substr(0, kCompared);
  });
  symbols.erase(std::unique(symbols.begin(), symbols.end(),
                            [](const ElfSymbol& a, const ElfSymbol& b) {
                              return a.value == b.value;
                            }),
                symbols.end());
}

const Unit* DebugFile::Impl::unit_at(std::uint64_t address) const {
  auto after = std::upper_bound(units.begin(), units.end(), address,
                                [](std::uint64_t a, const Unit& u) { return a < u.begin; });
  while (after != units.begin()) {
    --after;
    if (address < after->end) return &*after;
    if (address - after->begin > (1u << 20)) break;  // nested ranges are small
  }
  return nullptr;
}

// The nearest one before the address, when it reaches there, or tells no size and is in its section.
const ElfSymbol* DebugFile::Impl::symbol_at(const std::vector<ElfSymbol>& symbols,
                                            std::uint64_t address) const {
  const auto after =
      std::upper_bound(symbols.begin(), symbols.end(), address,
                       [](std::uint64_t a, const ElfSymbol& s) { return a < s.value; });
  if (after == symbols.begin()) return nullptr;
  const ElfSymbol& symbol = *std::prev(after);
  if (symbol.size != 0) return address < symbol.value + symbol.size ? &symbol : nullptr;
  const auto holds_both = [&](const ElfSection& section) {
    return (section.flags & SHF_ALLOC) != 0 && section.address <= symbol.value &&
           address < section.address + section.size;
  };
  const auto sections = elf->sections();
  return std::any_of(sections.begin(), sections.end(), holds_both) ? &symbol : nullptr;
}

void DebugFile::Impl::collect_declarations(Dwarf_Die* parent) {
  Dwarf_Die die;
  if (dwarf_child(parent, &die) != 0) return;
  do {
    if (may_hold_variables(&die)) {
      collect_declarations(&die);
      continue;
    }
    if (dwarf_tag(&die) != DW_TAG_variable) continue;
    const auto address = fixed_address(&die);
    int line = 0;
    if (!address || dwarf_decl_line(&die, &line) != 0) continue;
    declarations->try_emplace(*address, Place{text_of(dwarf_decl_file(&die)), std::uint32_t(line)});
  } while (dwarf_siblingof(&die, &die) == 0);
}

const std::map<std::uint64_t, Place>& DebugFile::Impl::all_declarations() {
  if (declarations) return *declarations;
  declarations.emplace();
  Dwarf_Off offset = 0, next = 0;
  std::size_t header_size = 0;
  while (dwarf != nullptr &&
         dwarf_nextcu(dwarf, offset, &next, &header_size, nullptr, nullptr, nullptr) == 0) {
    Dwarf_Die unit;
    if (dwarf_offdie(dwarf, offset + header_size, &unit) != nullptr) collect_declarations(&unit);
    offset = next;
  }
  return *declarations;
}

DebugFile::DebugFile(std::shared_ptr<const ElfFile> elf, const std::string& directories)
    : impl_(std::make_unique<Impl>()) {
  impl_->elf = std::move(elf);
  impl_->read_symbols(*impl_->elf);
  impl_->open(directories);
  impl_->read_units();
  impl_->sort_symbols(impl_->functions);
  impl_->sort_symbols(impl_->objects);
  impl_->sort_symbols(impl_->labels);
}

DebugFile::~DebugFile() = default;

std::vector<SymbolFrame> DebugFile::frames(std::uint64_t address) const {
  std::vector<SymbolFrame> frames;
  SymbolFrame outer;
  Place place;
  bool linked = false;  // the debug information has the mangled name, or there is none to have
  std::optional<std::uint64_t> low;
  if (const Unit* unit = impl_->unit_at(address)) {
    Dwarf_Die die = unit->die;
    place = line_at(&die, address);
    Dwarf_Die* found = nullptr;
    int count = dwarf_getscopes(&die, address, &found);
    std::unique_ptr<Dwarf_Die, FreeScopes> scopes(count > 0 ? found : nullptr);
    // Those are the scopes of the text; the ones of the code are the DIEs around the innermost.
    Dwarf_Die* around = nullptr;
    count = count > 0 ? dwarf_getscopes_die(&scopes.get()[0], &around) : 0;
    std::unique_ptr<Dwarf_Die, FreeScopes> nesting(count > 0 ? around : nullptr);
    for (int i = 0; i < count; ++i) {
      Dwarf_Die* scope = &nesting.get()[i];
      if (dwarf_tag(scope) == DW_TAG_inlined_subroutine) {
        SymbolFrame frame;
        frame.function = function_name(scope);
        frame.file = place.file;
        frame.line = place.line;
        frame.inlined = true;
        frames.push_back(std::move(frame));
        place = call_site(scope, &die);
      } else if (dwarf_tag(scope) == DW_TAG_subprogram) {
        outer.function = function_name(scope);
        linked = linkage_name(scope).has_value();
        Dwarf_Addr begin = 0;
        if (dwarf_entrypc(scope, &begin) == 0) low = begin;
        break;
      }
    }
  }
  // A function whose cold part stands before it begins, in the debug information, with the cold
  // part; the symbol's address is its first byte.
  const ElfSymbol* symbol = impl_->symbol_at(impl_->functions, address);
  if (symbol == nullptr) symbol = impl_->symbol_at(impl_->labels, address);
  if (symbol != nullptr) {
    const bool mangled = symbol->name.starts_with("_Z");
    if (outer.function.empty() || (!linked && mangled)) outer.function = demangled(symbol->name);
    low = symbol->value;
  }
  if (low) outer.offset = address - *low;
  outer.file = place.file;
  outer.line = place.line;
  frames.push_back(std::move(outer));
  return frames;
}

std::optional<DataName> DebugFile::data(std::uint64_t address) const {
  DataName name;
  if (const ElfSymbol* symbol = impl_->symbol_at(impl_->objects, address)) {
    name.symbol = demangled(symbol->name);
    name.offset = address - symbol->value;
    const auto& declarations = impl_->all_declarations();
    if (const auto found = declarations.find(symbol->value); found != declarations.end()) {
      name.file = found->second.file;
      name.line = found->second.line;
    }
    return name;
  }
  for (const ElfSection& section : impl_->elf->sections()) {
    const bool mapped = (section.flags & SHF_ALLOC) != 0 && (section.flags & SHF_TLS) == 0;
    if (!mapped || address < section.address || address >= section.address + section.size) continue;
    name.symbol = section.name;
    name.offset = address - section.address;
    return name;
  }
  return std::nullopt;
}

}  // namespace heapledger
