// SPDX-License-Identifier: Apache-2.0
#include "agent/rules.h"

namespace heapledger::agent {
namespace {

const Module* find_module(State* s, uint64_t pc) {
  const ModuleTable* table = reinterpret_cast<const ModuleTable*>(load(s->modules));
  if (table == nullptr) return nullptr;
  const Module* modules = reinterpret_cast<const Module*>(table + 1);
  uint32_t low = 0, high = table->count;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (modules[middle].end <= pc) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < table->count && modules[low].begin <= pc ? &modules[low] : nullptr;
}

Rule rule_in(const Module& m, uint64_t pc) {
  const uint32_t* offsets = reinterpret_cast<const uint32_t*>(m.offsets);
  if (m.row_count == 0 || pc < m.base) return {0, 0, RuleType::none, uint8_t(m.incarnation)};
  uint64_t offset = pc - m.base;
  uint32_t low = 0, high = m.row_count;  // last row whose offset <= `offset`
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (offsets[middle] <= offset) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return {0, 0, RuleType::none, uint8_t(m.incarnation)};
  const RuleBody& body = reinterpret_cast<const RuleBody*>(
      m.bodies)[reinterpret_cast<const uint16_t*>(m.index)[low - 1]];
  return {body.cfa, body.bp, RuleType(body.type), uint8_t(m.incarnation)};
}

// One writer at a time per entry: the key is taken before the body is touched and given after.
void remember(State* s, uint64_t key, Rule rule) {
  RuleBucket* buckets = reinterpret_cast<RuleBucket*>(s->rules);
  RuleBucket& bucket = buckets[key * 0x9e3779b97f4a7c15ull >> 40 & s->rule_mask];
  RuleEntry* victim = &bucket.entries[key >> 1 & 3];
  for (RuleEntry& e : bucket.entries) {
    if (load(e.pc) == 0) {
      victim = &e;
      break;
    }
  }
  uint64_t old = load(victim->pc);
  if (old == kRuleBeingReplaced || !replace(victim->pc, old, kRuleBeingReplaced)) return;
  uint64_t body = uint32_t(rule.cfa) | uint64_t(uint16_t(rule.bp)) << 32 |
                  uint64_t(rule.type) << 48 | uint64_t(rule.incarnation) << 56;
  __builtin_memcpy(&victim->cfa, &body, 8);
  publish(victim->pc, key);
}

}  // namespace

Rule find_rule_slowly(State* s, uint64_t key) {
  uint64_t pc = (key & kInterrupted) != 0 ? key & ~kInterrupted : key - 1;
  uint64_t table = load(s->modules);
  const Module* m = find_module(s, pc);
  if (m == nullptr) return {0, 0, RuleType::none, 0};
  Rule rule = rule_in(*m, pc);
  if (load(s->modules) == table) remember(s, key, rule);
  return rule;
}

bool in_modules(State* s, uint64_t pc) { return find_module(s, pc) != nullptr; }

}  // namespace heapledger::agent
