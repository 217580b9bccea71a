// SPDX-License-Identifier: Apache-2.0
//
// An ELF file: header tables, notes, symbols by name and by address, the dynamic segment, and what the
// unwind rules make of its call frame information and its code.
#include "inferior/elf_file.h"

#include "heap/glibc_arena.h"
#include "tests/fuzz/input.h"
#include "tracking/entry_points.h"
#include "tracking/unwind_rules.h"

using namespace heapledger;

namespace {

void look_up(const ElfFile& elf) {
  for (const char* name : {"malloc", "main", "_r_debug", "f", ""}) {
    elf.functions(name);
    elf.symbol(name);
  }
  std::size_t visited = 0;
  elf.for_each_symbol([&](const ElfSymbol& symbol) {
    if (++visited > 64) return;
    elf.functions(symbol.name);
    elf.function_at(symbol.value);
  });
  for (const ElfSegment& segment : elf.segments()) {
    const auto bytes = elf.at(segment.address, segment.file_size);
    fuzz::require(bytes.empty() || bytes.size() == segment.file_size);
    elf.function_at(segment.address);
  }
  for (const ElfSection& section : elf.sections()) {
    const auto bytes = elf.contents(section);
    fuzz::require(bytes.empty() || bytes.size() == section.size);
    elf.section(section.name);
  }
}

void compile_rules(const ElfFile& elf) {
  const auto table = compile_unwind_rules(elf);
  if (!table) return;
  fuzz::require(table->index.size() == table->offsets.size());
  for (std::size_t i = 0; i < table->offsets.size(); ++i) {
    fuzz::require(table->index[i] < table->bodies.size());
    fuzz::require(i == 0 || table->offsets[i - 1] < table->offsets[i]);
    find_rule(*table, table->base + table->offsets[i]);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto elf = ElfFile::from_bytes(fuzz::bytes_of({data, size}), "fuzz");
  if (!elf) {
    fuzz::require(!elf.error().message.empty());
    return 0;
  }
  (*elf)->build_id();
  (*elf)->soname();
  (*elf)->has_interpreter();
  look_up(**elf);
  compile_rules(**elf);
  Module module{.path = "/lib/libc.so.6", .name = "libc.so.6", .elf = *elf, .bias = 0x10000};
  module.range = module.code = {0x10000, 0x10000 + size};
  find_entry_points(module);
  sanitizer_of(module);
  (void)find_glibc({module});
  return 0;
}
