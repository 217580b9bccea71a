// SPDX-License-Identifier: Apache-2.0
#include "agent/arena.h"

namespace heapledger::agent {
namespace {

uint64_t word_base(uint64_t word) { return word & ~(kPage - 1); }
uint64_t word_size(uint64_t word) { return uint64_t{1} << (word & 63); }

// 64 GiB of addresses, far from where the program maps its own, so that those stay what they were. One
// page at the front is all that is mapped: it takes the place.
constexpr unsigned kBits = 36;
#ifdef __SANITIZE_THREAD__  // tests/agent/code: ThreadSanitizer has its shadow there
constexpr uint64_t kFirstPlace = uint64_t{0x7e90} << 32, kPlaces = 4;
#else
constexpr uint64_t kFirstPlace = uint64_t{0x2000} << 32, kPlaces = 512;
#endif

uint64_t place_arena(State* s) {
  uint64_t base = kFirstPlace, error = sys::kExists;
  for (uint64_t i = 0; i < kPlaces && error == sys::kExists; ++i) {
    base = kFirstPlace + (i << kBits);
    error = sys::map_at(base, kPage);
  }
  if (error != 0) {
    publish(s->arena_error, error);
    return 0;
  }
  replace(s->arena_next, uint64_t{0}, kPage);
  uint64_t word = base | kBits;
  if (!replace(s->arena_word, uint64_t{0}, word)) {
    sys::unmap(base, kPage);
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

}  // namespace

uint64_t arena_open(State* s, uint64_t bytes) {
  uint64_t word = load(s->arena_word);
  if (word == 0 && (word = place_arena(s)) == 0) return 0;
  bytes = (bytes + kPage - 1) & ~(kPage - 1);
  uint64_t limit = word_size(word);
  if (s->max_bytes != 0 && s->max_bytes < limit) limit = s->max_bytes;
  // The first look keeps arena_next from running away.
  uint64_t offset = load(s->arena_next);
  if (offset + bytes <= limit) offset = __atomic_fetch_add(&s->arena_next, bytes, __ATOMIC_RELAXED);
  if (offset + bytes > limit) {
    publish(s->arena_error, kArenaFull);
    return 0;
  }
  if (uint64_t error = sys::map_at(word_base(word) + offset, bytes); error != 0) {
    publish(s->arena_error, error);
    replace(s->arena_next, offset + bytes, offset);  // for a time when there is memory again
    return 0;
  }
  __atomic_fetch_add(&s->arena_opened, bytes, __ATOMIC_RELAXED);
  return word_base(word) + offset;
}

}  // namespace heapledger::agent
