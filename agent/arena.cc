// SPDX-License-Identifier: Apache-2.0
#include "agent/arena.h"

namespace heapledger::agent {
namespace {

uint64_t word_base(uint64_t word) { return word & ~(kPage - 1); }
uint64_t word_size(uint64_t word) { return uint64_t{1} << (word & 63); }

// 64 GiB of address space; under RLIMIT_AS at most an eighth of it, the rest is the program's.
uint64_t reserve_arena(State* s) {
  uint64_t limit = sys::address_space_limit();
  for (unsigned bits = 36; bits >= 22; bits -= 2) {
    if (bits > 24 && uint64_t{1} << bits > limit / 8) continue;
    uint64_t base = sys::reserve(uint64_t{1} << bits);
    if (base == 0) continue;
    uint64_t word = base | bits;
    if (!replace(s->arena_word, uint64_t{0}, word)) {
      sys::unmap(base, uint64_t{1} << bits);
      return load(s->arena_word);
    }
    for (const auto& [begin, end] : s->undumped) {
      const uint64_t from = begin & ~kText;
      if (from != 0) sys::leave_out_of_cores(from, end - from);
    }
    s->arena_end = base + word_size(word);
    publish(s->arena_begin, base);
    return word;
  }
  return 0;
}

}  // namespace

uint64_t arena_open(State* s, uint64_t bytes) {
  uint64_t word = load(s->arena_word);
  if (word == 0 && (word = reserve_arena(s)) == 0) return 0;
  bytes = (bytes + kPage - 1) & ~(kPage - 1);
  uint64_t limit = word_size(word);
  if (s->max_bytes != 0 && s->max_bytes < limit) limit = s->max_bytes;
  if (load(s->arena_next) + bytes > limit) return 0;  // keeps arena_next from running away
  uint64_t offset = __atomic_fetch_add(&s->arena_next, bytes, __ATOMIC_RELAXED);
  if (offset + bytes > limit) return 0;
  if (!sys::open(word_base(word) + offset, bytes)) return 0;
  __atomic_fetch_add(&s->arena_opened, bytes, __ATOMIC_RELAXED);
  return word_base(word) + offset;
}

}  // namespace heapledger::agent
