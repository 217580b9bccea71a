// SPDX-License-Identifier: Apache-2.0
//
// The entry points of agent/protocol.h as an ELF file defines them.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "agent/protocol.h"
#include "inferior/elf_file.h"

namespace heapledger::testing {

struct EntryPoint {
  std::string symbol;
  agent::Kind kind;
  agent::Shape shape;
  std::uint64_t value;              // link-time address
  std::vector<std::uint8_t> bytes;  // to the next symbol, at most 4 KiB
};

inline std::uint64_t next_symbol(const ElfFile& file, std::uint64_t value) {
  std::uint64_t end = value + 4096;
  for (const ElfSection& section : file.sections()) {
    if (value >= section.address && value < section.address + section.size) {
      end = std::min(end, section.address + section.size);
    }
  }
  file.for_each_symbol([&](const ElfSymbol& symbol) {
    if (symbol.value > value) end = std::min(end, symbol.value);
  });
  return end;
}

inline std::vector<EntryPoint> entry_points(const ElfFile& file) {
  struct Row {
    const char* symbol;
    agent::Kind kind;
    agent::Shape shape;
  };
#define ROW(symbol, kind, shape) Row{symbol, agent::Kind::kind, agent::Shape::shape},
  static const Row kRows[] = {HEAPLEDGER_ENTRY_POINTS(ROW)};
#undef ROW
  std::vector<EntryPoint> result;
  for (const Row& row : kRows) {
    for (const ElfSymbol& symbol : file.functions(row.symbol)) {
      const auto bytes = file.at(symbol.value, next_symbol(file, symbol.value) - symbol.value);
      const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
      result.push_back(
          {row.symbol, row.kind, row.shape, symbol.value, {first, first + bytes.size()}});
    }
  }
  return result;
}

}  // namespace heapledger::testing
