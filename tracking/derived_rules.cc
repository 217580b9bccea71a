// SPDX-License-Identifier: Apache-2.0
#include "tracking/derived_rules.h"

#include <elf.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "tracking/stack_walk.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kPadding = 64;      // between functions; more is code
constexpr std::uint64_t kWorthwhile = 4096;  // bytes of code without call frame information

// Executable bytes of the file that `covered` says nothing of.
std::vector<AddressRange> free_code(const ElfFile& elf, std::span<const FrameEntry> covered) {
  std::vector<AddressRange> free;
  for (const ElfSegment& segment : elf.segments()) {
    if (segment.type != PT_LOAD || (segment.flags & PF_X) == 0) continue;
    std::uint64_t from = segment.address;
    const std::uint64_t end = segment.address + segment.file_size;
    for (const FrameEntry& entry : covered) {
      if (entry.end <= from || entry.begin >= end) continue;
      if (entry.begin > from) free.push_back({from, entry.begin});
      from = entry.end;
    }
    if (from < end) free.push_back({from, end});
  }
  std::sort(free.begin(), free.end(),
            [](const AddressRange& a, const AddressRange& b) { return a.begin < b.begin; });
  return free;
}

bool same(const agent::RuleBody& a, const agent::RuleBody& b) {
  return a.cfa == b.cfa && a.bp == b.bp && a.type == b.type;
}

struct Row {
  std::uint32_t length = 0;
  std::optional<agent::RuleBody> rule;

  friend bool operator==(const Row& a, const Row& b) {
    return a.length == b.length && a.rule.has_value() == b.rule.has_value() &&
           (!a.rule || same(*a.rule, *b.rule));
  }
};

class Derivation {
 public:
  Derivation(const ElfFile& elf, std::vector<AddressRange> free)
      : elf_(elf), free_(std::move(free)) {
    if (elf.entry() != 0) add(elf.entry(), 0);
    elf.for_each_symbol([&](const ElfSymbol& symbol) {
      const bool part = symbol.name.find(".cold") != std::string::npos;
      if (symbol.type == STT_FUNC && !part) add(symbol.value, symbol.size);
    });
  }

  std::vector<FrameEntry> run() {
    while (!waiting_.empty()) {
      const Address begin = waiting_.back();
      waiting_.pop_back();
      const StackWalk& walk = walk_from(begin);
      not_functions_.insert(walk.not_functions().begin(), walk.not_functions().end());
      if (!walk.consistent()) continue;
      for (const Address called : walk.called()) add(called, 0);
    }
    for (const Address part : not_functions_) functions_.erase(part);
    // Now that all entries are known, no function runs on into the next one.
    std::set<Address> returning;
    for (const auto& [begin, size] : functions_) {
      const StackWalk& walk = walk_from(begin);
      if (walk.consistent() && walk.checked().count(begin) != 0) returning.insert(begin);
    }
    for (const auto& [begin, size] : functions_) {
      const StackWalk& walk = walks_.at(begin);
      if (!walk.consistent()) continue;
      if (size != 0) {
        take_in(walk, nullptr);
        continue;
      }
      // Where it ends nobody says: behind a call that does not return another function may begin.
      std::set<Address> own = walk.checked();
      own.merge(walk.certain(returning));
      take_in(walk, &own);
    }
    return stretches();
  }

 private:
  const AddressRange* stretch_of(Address address) const {
    const auto after = std::partition_point(
        free_.begin(), free_.end(), [&](const AddressRange& r) { return r.end <= address; });
    return after != free_.end() && after->contains(address) ? &*after : nullptr;
  }
  void add(Address begin, std::uint64_t size) {
    if (stretch_of(begin) == nullptr) return;
    const auto [function, is_new] = functions_.try_emplace(begin, size);
    if (is_new) waiting_.push_back(begin);
    function->second = std::max(function->second, size);
  }
  // A size that its symbol tells, or up to the next function.
  AddressRange bounds_of(Address begin) const {
    const auto function = functions_.find(begin);
    const auto next = std::next(function);
    std::uint64_t end = stretch_of(begin)->end;
    if (function->second != 0) {
      end = std::min(end, begin + function->second);
    } else if (next != functions_.end()) {
      end = std::min(end, next->first);
    }
    return {begin, end};
  }
  const StackWalk& walk_from(Address begin) {
    const AddressRange bounds = bounds_of(begin);
    auto walk = walks_.find(begin);
    if (walk != walks_.end() && walk->second.bounds() == bounds) return walk->second;
    StackWalk made(elf_.at(bounds.begin, bounds.size()), bounds,
                   {functions_.at(begin) != 0, begin == elf_.entry()});
    return walks_.insert_or_assign(begin, std::move(made)).first->second;
  }
  // Two functions may share code; where they disagree about it there is no rule.
  void take_in(const StackWalk& walk, const std::set<Address>* own) {
    for (const auto& [address, place] : walk.places()) {
      if (own != nullptr && own->count(address) == 0) continue;
      const Row row{place.length, rule_of(place.state)};
      const auto [known, is_new] = rows_.try_emplace(address, row);
      if (!is_new && !(known->second == row)) known->second.rule.reset();
      disagree_if_inside(known);
    }
  }
  void disagree_if_inside(std::map<Address, Row>::iterator row) {
    const auto next = std::next(row);
    if (next != rows_.end() && next->first < row->first + row->second.length) {
      row->second.rule.reset();
      next->second.rule.reset();
    }
    if (row == rows_.begin()) return;
    const auto before = std::prev(row);
    if (row->first >= before->first + before->second.length) return;
    row->second.rule.reset();
    before->second.rule.reset();
  }
  // Neighbours of one rule as one.
  std::vector<FrameEntry> stretches() const {
    std::vector<FrameEntry> out;
    for (const auto& [address, row] : rows_) {
      if (!row.rule) continue;
      const Address end = address + row.length;
      if (!out.empty() && out.back().end == address && same(*out.back().fixed, *row.rule)) {
        out.back().end = end;
        continue;
      }
      out.push_back({address, end});
      out.back().fixed = *row.rule;
    }
    return out;
  }

  const ElfFile& elf_;
  std::vector<AddressRange> free_;
  std::map<Address, std::uint64_t> functions_;  // begin -> size, 0: not known
  std::vector<Address> waiting_;
  std::map<Address, StackWalk> walks_;
  std::set<Address> not_functions_;
  std::map<Address, Row> rows_;  // an instruction each
};

}  // namespace

std::vector<FrameEntry> derived_entries(const ElfFile& elf, std::span<const FrameEntry> covered) {
  std::vector<AddressRange> free = free_code(elf, covered);
  std::uint64_t bytes = 0;
  for (const AddressRange& range : free) bytes += range.size() > kPadding ? range.size() : 0;
  if (bytes < kWorthwhile) return {};
  return Derivation(elf, std::move(free)).run();
}

}  // namespace heapledger
