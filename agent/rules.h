// SPDX-License-Identifier: Apache-2.0
//
// The rule for a pc: a shared cache in front of the module tables the debugger compiled.
#pragma once

#include "agent/header.h"
#include "agent/system.h"

namespace heapledger::agent {

struct Rule {
  int32_t cfa;
  int16_t bp;
  RuleType type;
  uint8_t incarnation;  // of the module
};

inline constexpr uint64_t kInterrupted = uint64_t{1} << 62;  // in a key: pc itself, not pc - 1

Rule find_rule_slowly(State* s, uint64_t key);

// `key` is a return address, or an interrupted pc | kInterrupted.
inline Rule find_rule(State* s, uint64_t key) {
  RuleBucket* buckets = reinterpret_cast<RuleBucket*>(s->rules);
  RuleBucket& bucket = buckets[key * 0x9e3779b97f4a7c15ull >> 40 & s->rule_mask];
  for (RuleEntry& e : bucket.entries) {
    if (load(e.pc) != key) continue;
    uint64_t body;
    __builtin_memcpy(&body, &e.cfa, 8);
    asm volatile("" ::: "memory");
    if (load(e.pc) != key) break;  // being replaced
    return {int32_t(uint32_t(body)), int16_t(body >> 32), RuleType(body >> 48 & 255),
            uint8_t(body >> 56)};
  }
  return find_rule_slowly(s, key);
}

inline bool in_image(uint64_t pc) {
  return pc >= heapledger_header.image_begin && pc < heapledger_header.image_end;
}

// Does any published module cover this code address?
bool in_modules(State* s, uint64_t pc);

}  // namespace heapledger::agent
