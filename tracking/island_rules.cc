// SPDX-License-Identifier: Apache-2.0
#include "tracking/island_rules.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <span>

#include "tracking/code_image.h"
#include "tracking/island.h"

namespace heapledger {
namespace {

using agent::RuleBody;
using agent::RuleType;

constexpr RuleBody kAtEntry{8, 0, static_cast<std::uint8_t>(RuleType::sp), 0};

// The body as one word, to tell equal rules.
std::uint64_t key_of(const RuleBody& b) {
  return std::uint64_t(std::uint32_t(b.cfa)) | std::uint64_t(std::uint16_t(b.bp)) << 32 |
         std::uint64_t(b.type) << 48;
}

RuleBody home_rule(const CodeMap& code, Address pc) {
  for (const CodeRange* r : code.loaded()) {
    if (!r->own && r->range.contains(pc) && r->rules != nullptr) return find_rule(*r->rules, pc - r->bias);
  }
  return {};
}

// DWARF's number of a register that belongs to the caller, where the instruction pushes one. rbp is
// part of the rules.
std::optional<std::uint8_t> pushed_register(std::span<const std::uint8_t> instruction) {
  constexpr std::uint8_t kPush = 0x50, kRexB = 0x41, kRbx = 3;
  if (instruction.size() == 1 && instruction[0] == kPush + kRbx) return kRbx;
  if (instruction.size() != 2 || instruction[0] != kRexB) return std::nullopt;
  const int number = 8 + instruction[1] - kPush;  // both number r8..r15 alike
  return number >= 12 && number <= 15 ? std::optional(std::uint8_t(number)) : std::nullopt;
}

std::span<const std::uint8_t> displaced_instruction(const InstalledHook& h, std::size_t i) {
  const std::size_t begin = h.boundaries[i].from - (h.patched - h.request.function);
  const std::size_t end = i + 1 == h.boundaries.size()
                              ? h.displaced.size()
                              : h.boundaries[i + 1].from - (h.patched - h.request.function);
  return std::span(h.displaced).subspan(begin, end - begin);
}

std::vector<FrameRow> trampoline_rows(const InstalledHook& h, const CodeMap& code) {
#ifndef HEAPLEDGER_MUTANT_ENTRY_ROWS
  if (h.boundaries.empty())
#endif
    return {{h.trampoline, kAtEntry}};
  std::vector<FrameRow> rows;
  for (const Relocation::Boundary& b : h.boundaries) {
    rows.push_back({h.trampoline + b.to, home_rule(code, h.request.function + b.from)});
  }
  // The jump back stands where the last instruction has been executed.
  const Address jump = h.trampoline + h.trampoline_size - std::min<std::uint32_t>(h.trampoline_size, kJumpSize);
  if (jump > rows.back().from) rows.push_back({jump, home_rule(code, h.patched + h.displaced.size())});
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const auto pushed = pushed_register(displaced_instruction(h, i - 1));
    const RuleBody& rule = rows[i].rule;
    if (!pushed || rule.type != static_cast<std::uint8_t>(RuleType::sp)) continue;
    rows[i].saved.push_back({*pushed, static_cast<std::uint8_t>(rule.cfa / 8)});
  }
  return rows;
}

// "operator new(unsigned long)" -> "operator_new_unsigned_long_": no breakpoint by name finds it.
std::string plain(const std::string& name) {
  std::string result = name;
  std::replace_if(result.begin(), result.end(),
                  [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return result;
}

// Rules that DWARF's simplest form has no words for end a piece: nothing is said of what follows.
CodePiece expressible(CodePiece piece) {
  const auto other = std::find_if(piece.rows.begin(), piece.rows.end(), [](const FrameRow& row) {
    return row.rule.type != static_cast<std::uint8_t>(RuleType::sp) &&
           row.rule.type != static_cast<std::uint8_t>(RuleType::bp);
  });
  if (other == piece.rows.end()) return piece;
  if (other != piece.rows.begin()) piece.range.end = other->from;
  piece.rows.erase(other, piece.rows.end());
  return piece;
}

}  // namespace

std::shared_ptr<const UnwindTable> island_rules(
    AddressRange island, const std::vector<std::unique_ptr<InstalledHook>>& hooks,
    const CodeMap& code) {
  std::map<std::uint64_t, RuleBody> rows{{0, RuleBody{}}};  // offset in the island -> rule from there
  for (const auto& h : hooks) {
    if (!island.contains(h->stub)) continue;
    rows[h->stub - island.begin] = kAtEntry;
    for (const FrameRow& row : trampoline_rows(*h, code)) rows[row.from - island.begin] = row.rule;
    rows.try_emplace(h->trampoline + h->trampoline_size - island.begin, RuleBody{});
  }
  auto table = std::make_shared<UnwindTable>();
  std::map<std::uint64_t, std::uint16_t> ids;
  for (const auto& [offset, body] : rows) {
    auto [id, is_new] = ids.try_emplace(key_of(body), static_cast<std::uint16_t>(table->bodies.size()));
    if (is_new) table->bodies.push_back(body);
    table->offsets.push_back(static_cast<std::uint32_t>(offset));
    table->index.push_back(id->second);
  }
  return table;
}

std::vector<std::byte> island_image(const std::vector<const InstalledHook*>& hooks,
                                    const CodeMap& code, const Memory& memory) {
  if (hooks.empty()) return {};
  const auto [first, last] = std::minmax_element(
      hooks.begin(), hooks.end(), [](const auto* a, const auto* b) { return a->stub < b->stub; });
  const AddressRange range{(*first)->stub, (*last)->stub + IslandItem::kSize};
  std::vector<std::byte> bytes(range.size());
  if (!memory.read(range.begin, bytes)) return {};
  std::vector<CodePiece> pieces;
  for (const InstalledHook* h : hooks) {
    const std::string name = plain(h->request.symbol);
    pieces.push_back({{h->stub, IslandItem{h->stub}.hook()},
                      "heapledger_stub_" + name, {{h->stub, kAtEntry}}});
    pieces.push_back(expressible({{h->trampoline, h->trampoline + h->trampoline_size},
                                  "heapledger_trampoline_" + name, trampoline_rows(*h, code)}));
  }
  return code_image(range.begin, bytes, pieces);
}

}  // namespace heapledger
