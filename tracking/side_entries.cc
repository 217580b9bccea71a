// SPDX-License-Identifier: Apache-2.0
#include "tracking/side_entries.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "tracking/instruction.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kShortReach = 130;  // of a branch with an 8-bit distance, its own bytes included
// Decoding that begins amid an instruction finds the next one's beginning within a few.
constexpr std::uint64_t kLeadIn = kShortReach + 128;
constexpr std::size_t kMostTableEntries = 4096;

using Bytes = std::span<const std::uint8_t>;

Bytes bytes_at(const ElfFile& elf, std::uint64_t address, std::uint64_t size) {
  const auto bytes = elf.at(address, size);
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

std::int32_t distance_in(Bytes bytes, std::size_t at) {
  std::int32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

bool is_executable(const ElfSegment& segment) {
  return segment.type == PT_LOAD && (segment.flags & PF_X) != 0;
}

class Search {
 public:
  Search(const ElfFile& elf, std::span<const FunctionPlace> functions)
      : elf_(elf), functions_(functions), found_(functions.size()) {
    for (std::size_t i = 0; i < functions.size(); ++i) order_.emplace_back(functions[i].address, i);
    std::sort(order_.begin(), order_.end());
  }

  std::vector<std::vector<SideEntry>> run() {
    if (functions_.empty()) return {};
    find_symbols();
    for (const ElfSegment& segment : elf_.segments()) {
      if (is_executable(segment)) find_long_branches(segment);
    }
    for (const FunctionPlace& function : functions_) {
      find_short_branches(function);
      find_tables(function);
    }
    return std::move(found_);
  }

 private:
  // Calls visit(number, offset) for each function whose entry, the first byte apart, `target` is in.
  template <typename Visit>
  void for_each_entered(std::uint64_t target, Visit visit) const {
    auto next = std::lower_bound(order_.begin(), order_.end(), std::pair(target, std::size_t{0}));
    while (next != order_.begin()) {
      --next;
      if (target - next->first >= kLongestEntry) return;
      visit(next->second, std::uint32_t(target - next->first));
    }
  }

  // A second name of the same function that an endbr64 begins is behind it.
  void find_symbols() {
    elf_.for_each_symbol([&](const ElfSymbol& s) {
      if (s.type != STT_FUNC && s.type != STT_GNU_IFUNC && s.type != STT_NOTYPE) return;
      starts_.push_back(s.value);
      for_each_entered(s.value, [&](std::size_t number, std::uint32_t offset) {
        add(number, offset, fmt::format("{} begins at", s.name));
      });
    });
    std::sort(starts_.begin(), starts_.end());
  }

  // jmp, call and jcc with a 32-bit distance, at every byte: decoding all code would take a hundred times as
  // long. That other bytes look like one that leads right here is less likely than one in a thousand.
  void find_long_branches(const ElfSegment& segment) {
    const Bytes code = bytes_at(elf_, segment.address, segment.file_size);
    const std::uint64_t lowest = order_.front().first, highest = order_.back().first + kLongestEntry;
    for (std::size_t i = 0; i + 6 <= code.size(); ++i) {
      const bool plain = (code[i] & 0xfe) == 0xe8;
      const bool conditional = code[i] == 0x0f && (code[i + 1] & 0xf0) == 0x80;
      if (!plain && !conditional) continue;
      const std::size_t at = conditional ? i + 2 : i + 1;
      const std::uint64_t target = segment.address + at + 4 + std::int64_t{distance_in(code, at)};
      if (target < lowest || target >= highest) continue;
      add_branch(segment.address + i, target);
    }
  }

  void add_branch(std::uint64_t from, std::uint64_t target) {
    for_each_entered(target, [&](std::size_t number, std::uint32_t offset) {
      const FunctionPlace& function = functions_[number];
      if (from - function.address < function.size) return;  // its own
      add(number, offset, fmt::format("a branch at {:#x} leads to", from));
    });
  }

  // Neighbours whose short branches reach the entry: in front of it, from the last symbol on where that is
  // near, and behind the function's end.
  void find_short_branches(const FunctionPlace& function) {
    const auto after = std::lower_bound(starts_.begin(), starts_.end(), function.address);
    const std::uint64_t nearest = after != starts_.begin() ? after[-1] : 0;
    decode(std::max(nearest, function.address - std::min(function.address, kLeadIn)), function.address);
    const std::uint64_t end = function.address + function.size;
    const std::uint64_t reach = function.address + kLongestEntry + kShortReach;
    if (end < reach) decode(end, reach);
  }

  // What of it is code in the file.
  void decode(std::uint64_t begin, std::uint64_t end) {
    for (const ElfSegment& segment : elf_.segments()) {
      if (!is_executable(segment)) continue;
      decode_code(std::max(begin, segment.address), std::min(end, segment.address + segment.file_size));
    }
  }

  void decode_code(std::uint64_t begin, std::uint64_t end) {
    if (begin >= end) return;
    const Bytes code = bytes_at(elf_, begin, end - begin);
    for (std::uint32_t offset = 0; offset < code.size();) {
      const auto instruction = decode_instruction(code, begin, offset);
      if (instruction && instruction->branch_target) {
        add_branch(begin + offset, *instruction->branch_target);
      }
      offset = instruction ? instruction->end() : offset + 1;
    }
  }

  // What the function takes the address of may be a table; it ends where a distance leads elsewhere.
  void find_tables(const FunctionPlace& function) {
    const Bytes code = bytes_at(elf_, function.address, function.size);
    for (std::uint32_t offset = 0; offset < code.size();) {
      const auto instruction = decode_instruction(code, function.address, offset);
      offset = instruction ? instruction->end() : offset + 1;
      if (!instruction || !instruction->data_target || instruction->reads_or_writes_data) continue;
      read_table(function, *instruction->data_target);
    }
  }

  void read_table(const FunctionPlace& function, std::uint64_t table) {
    for (std::size_t i = 0; i < kMostTableEntries; ++i) {
      const Bytes entry = bytes_at(elf_, table + 4 * i, 4);
      if (entry.empty()) return;
      const std::uint64_t target = table + std::int64_t{distance_in(entry, 0)};
      if (target - function.address >= function.size) return;
      for_each_entered(target, [&](std::size_t number, std::uint32_t offset) {
        add(number, offset, fmt::format("a jump table at {:#x} leads to", table));
      });
    }
  }

  void add(std::size_t number, std::uint32_t offset, std::string what) {
    const auto known = [&](const SideEntry& other) { return other.offset == offset; };
    if (std::any_of(found_[number].begin(), found_[number].end(), known)) return;
    found_[number].push_back({offset, std::move(what)});
  }

  const ElfFile& elf_;
  const std::span<const FunctionPlace> functions_;
  std::vector<std::pair<std::uint64_t, std::size_t>> order_;  // address, number
  std::vector<std::uint64_t> starts_;                         // of functions and labels, in order
  std::vector<std::vector<SideEntry>> found_;
};

}  // namespace

std::vector<std::vector<SideEntry>> find_side_entries(const ElfFile& elf,
                                                      std::span<const FunctionPlace> functions) {
  return Search(elf, functions).run();
}

}  // namespace heapledger
