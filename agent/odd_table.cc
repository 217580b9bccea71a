// SPDX-License-Identifier: Apache-2.0
//
// Blocks the granules cannot hold: addresses that are not 16-byte aligned, and a second block in one
// granule. Open addressing; a key stays where it is for good, so an entry never moves under a reader.
#include "agent/slots.h"

namespace heapledger::agent {
namespace {

constexpr unsigned kProbes = 32;

uint64_t segment_length(unsigned i) { return uint64_t{kOddFirst} << i; }
OddEntry* entry_at(uint64_t segment, uint64_t length, uint64_t address, unsigned probe) {
  uint64_t hash = address * 0x9e3779b97f4a7c15ull >> 20;
  return reinterpret_cast<OddEntry*>(segment) + ((hash + probe) & (length - 1));
}

OddEntry* claim(State* s, uint64_t segment, uint64_t length, uint64_t address) {
  for (unsigned p = 0; p < kProbes; ++p) {
    OddEntry* e = entry_at(segment, length, address, p);
    if (load(e->key) == 0 && replace(e->key, uint64_t{0}, encode(address))) {
      count(s->odd_count);
      return e;
    }
  }
  return nullptr;
}

}  // namespace

OddEntry* odd_find(State* s, uint64_t address) {
  for (unsigned i = 0; i < kOddSegments; ++i) {
    uint64_t segment = load(s->odd[i]);
    if (segment == 0) return nullptr;
    for (unsigned p = 0; p < kProbes; ++p) {
      OddEntry* e = entry_at(segment, segment_length(i), address, p);
      uint64_t key = load(e->key);
      if (key == encode(address)) return e;
      if (key == 0) break;
    }
  }
  return nullptr;
}

bool odd_insert(State* s, uint64_t address, Slot value) {
  OddEntry* e = odd_find(s, address);
  for (unsigned i = 0; e == nullptr && i < kOddSegments; ++i) {
    uint64_t segment = arena_object(s, s->odd[i], segment_length(i) * sizeof(OddEntry));
    if (segment == 0) return false;
    e = claim(s, segment, segment_length(i), address);
  }
  if (e == nullptr) return false;
  value.w0 &= ~uint64_t{2};
  write_slot(&e->slot, value);
  return true;
}

}  // namespace heapledger::agent
