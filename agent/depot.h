// SPDX-License-Identifier: Apache-2.0
//
// The stack depot: stacks as a trie of frames, found by a hash over the whole stack.
#pragma once

#include "agent/arena.h"

namespace heapledger::agent {

inline uint64_t mix(uint64_t hash, uint64_t pc) {
  uint64_t own = pc * 0x9fb21c651e98df25ull;  // beside the chain of dependent steps
  uint64_t h = (hash + (own ^ own >> 29)) * 0xd6e8feb86659fd93ull;
  return h | 1;  // 0 is an empty entry
}
inline constexpr uint64_t kEmptyStack = 0x2545f4914f6cdd1dull;

// The node whose path to the root hashes to `hash`; 0: not there.
uint32_t depot_find(State* s, uint64_t hash);

// The node of frames[0 .. frame_count), outermost first; missing ones are made. 0: no memory.
uint32_t depot_intern(State* s, const StackFrame* frames, uint32_t frame_count);

}  // namespace heapledger::agent
