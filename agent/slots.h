// SPDX-License-Identifier: Apache-2.0
//
// The table of outstanding blocks: address -> Slot, by three loads; addresses that do not fit the
// granules go to the odd table.
//
// Plain stores suffice (no compare and swap): a release is erased before the real free and an
// allocation inserted after the real malloc, so the allocator's own hand-over of the memory orders
// the two; at most one thread may touch an address's slot at a time in a program without double free.
// Two blocks that share a granule of 32 bytes overlap in chunk memory, so the same holds for them.
#pragma once

#include "agent/arena.h"

namespace heapledger::agent {

struct Taken {
  bool found = false;
  Slot slot{};
};

inline uint64_t leaf_bytes(const State* s) {
  return (uint64_t{1} << (kLeafShift - s->granule_shift)) * sizeof(Slot);
}
inline bool fits_granule(uint64_t address) {
  return (address & 15) == 0 && address >> kAddressBits == 0;
}
inline bool is_upper(const State* s, uint64_t address) {
  return s->granule_shift == 5 && (address & 16) != 0;
}
inline Slot* slot_in(const State* s, uint64_t leaf, uint64_t address) {
  return reinterpret_cast<Slot*>(leaf) +
         ((address & ((uint64_t{1} << kLeafShift) - 1)) >> s->granule_shift);
}

// The slot of an address that fits, or nullptr when nothing was ever recorded near it.
inline Slot* find_slot(State* s, uint64_t address) {
  uint64_t table = load(s->directory[address >> kTableShift]);
  if (table == 0) return nullptr;
  uint64_t leaf =
      load(reinterpret_cast<uint64_t*>(table)[address >> kLeafShift & (kTableSize - 1)]);
  return leaf == 0 ? nullptr : slot_in(s, leaf, address);
}

inline Slot* make_slot(State* s, uint64_t address) {
  uint64_t table =
      arena_object(s, s->directory[address >> kTableShift], kTableSize * sizeof(uint64_t));
  if (table == 0) return nullptr;
  uint64_t leaf = arena_object(
      s, reinterpret_cast<uint64_t*>(table)[address >> kLeafShift & (kTableSize - 1)],
      leaf_bytes(s));
  return leaf == 0 ? nullptr : slot_in(s, leaf, address);
}

inline bool is_valid(const Slot* slot) { return (load(slot->w0) & 1) != 0; }
inline bool is_upper_slot(const Slot* slot) { return (slot->w0 & 2) != 0; }

// Fill, then publish.
inline void write_slot(Slot* slot, Slot value) {
  uint64_t incarnation = ((slot->w0 >> 8) + 1) & 15;
  publish(slot->w1, value.w1);
  publish(slot->w0, (value.w0 & ~uint64_t{0xf00}) | incarnation << 8 | 1);
}
inline void clear_slot(Slot* slot) { publish(slot->w0, slot->w0 & ~uint64_t{1}); }

OddEntry* odd_find(State* s, uint64_t address);
bool odd_insert(State* s, uint64_t address, Slot value);

inline bool slot_insert(State* s, uint64_t address, Slot value) {
  if (__builtin_expect(fits_granule(address), 1)) {
    Slot* slot = make_slot(s, address);
    if (slot == nullptr) return false;
    bool upper = is_upper(s, address);
    if (__builtin_expect(!is_valid(slot) || is_upper_slot(slot) == upper, 1)) {
      value.w0 = (value.w0 & ~uint64_t{2}) | (upper ? 2 : 0);
      write_slot(slot, value);
      return true;
    }
  }
  return odd_insert(s, address, value);
}

// Erases the entry of `address` and returns what it was.
inline Taken slot_take(State* s, uint64_t address) {
  if (__builtin_expect(fits_granule(address), 1)) {
    Slot* slot = find_slot(s, address);
    if (slot != nullptr && is_valid(slot) && is_upper_slot(slot) == is_upper(s, address)) {
      Taken taken{true, *slot};
      clear_slot(slot);
      return taken;
    }
  }
  if (__builtin_expect(load(s->odd_count) == 0, 1)) return {};
  OddEntry* odd = odd_find(s, address);
  if (odd == nullptr || !is_valid(&odd->slot)) return {};
  Taken taken{true, odd->slot};
  clear_slot(&odd->slot);
  return taken;
}

}  // namespace heapledger::agent
