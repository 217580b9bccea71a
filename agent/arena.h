// SPDX-License-Identifier: Apache-2.0
//
// Where the ledger's memory comes from: addresses far from the program's, mapped from the front as they
// are needed, never given back.
//
// Lock-free: whoever loses a race gives its own place back. What is mapped but loses its place in a
// table is wasted, which is rare and bounded by the number of threads.
#pragma once

#include "agent/system.h"

namespace heapledger::agent {

// `bytes` of zeroed, page aligned memory, or 0 when there is none (address space, max_bytes).
uint64_t arena_open(State* s, uint64_t bytes);

// The object at *place, made from the arena when it is missing. 0: no memory.
inline uint64_t arena_object(State* s, uint64_t& place, uint64_t bytes) {
  uint64_t object = load(place);
  if (__builtin_expect(object != 0, 1)) return object;
  uint64_t fresh = arena_open(s, bytes);
  if (fresh == 0) return 0;
  return replace(place, uint64_t{0}, fresh) ? fresh : load(place);
}

}  // namespace heapledger::agent
