// SPDX-License-Identifier: Apache-2.0
#include "tracking/island_rules.h"

#include <algorithm>
#include <map>

namespace heapledger {
namespace {

using agent::RuleBody;
using agent::RuleType;

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

}  // namespace

std::shared_ptr<const UnwindTable> island_rules(
    AddressRange island, const std::vector<std::unique_ptr<InstalledHook>>& hooks,
    const CodeMap& code) {
  const RuleBody at_entry{8, 0, static_cast<std::uint8_t>(RuleType::sp), 0};
  std::map<std::uint64_t, RuleBody> rows{{0, RuleBody{}}};  // offset in the island -> rule from there
  for (const auto& h : hooks) {
    if (!island.contains(h->stub)) continue;
    rows[h->stub - island.begin] = at_entry;
    Address begin = h->trampoline;
    rows[begin - island.begin] = at_entry;
    for (const Relocation::Boundary& b : h->boundaries) {
      rows[begin + b.to - island.begin] = home_rule(code, h->request.function + b.from);
    }
    if (!h->boundaries.empty()) {  // the jump back stands where the last instruction has been executed
      Address next = h->patched + h->displaced.size();
      Address jump = begin + h->trampoline_size - std::min<std::uint32_t>(h->trampoline_size, kJumpSize);
      if (jump > begin + h->boundaries.back().to) rows[jump - island.begin] = home_rule(code, next);
    }
    rows.try_emplace(begin + h->trampoline_size - island.begin, RuleBody{});
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

}  // namespace heapledger
