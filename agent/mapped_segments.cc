// SPDX-License-Identifier: Apache-2.0
#include "agent/mapped_segments.h"

namespace heapledger::agent {
namespace {

bool is_mapping(Kind kind) {
  return kind == Kind::mmap || kind == Kind::mremap || kind == Kind::shmat;
}

MappingRecord* record_at(State* s, uint32_t index) {
  uint64_t chunk = load(s->mappings[index / kMappingsPerChunk]);
  return chunk == 0 ? nullptr
                    : reinterpret_cast<MappingRecord*>(chunk) + index % kMappingsPerChunk;
}

// Free records form a stack of indexes; the tag in the upper half defeats ABA.
uint32_t pop_free(State* s) {
  for (;;) {
    uint64_t head = load(s->mapping_free);
    uint32_t index = uint32_t(head);
    if (index == 0) return 0;
    uint64_t next = ((head >> 32) + 1) << 32 | load(record_at(s, index - 1)->next_free);
    if (replace(s->mapping_free, head, next)) return index;
  }
}

void push_free(State* s, uint32_t index) {
  MappingRecord* r = record_at(s, index - 1);
  publish(r->state, uint32_t(MappingState::unused));
  for (;;) {
    uint64_t head = load(s->mapping_free);
    publish(r->next_free, uint32_t(head));
    if (replace(s->mapping_free, head, ((head >> 32) + 1) << 32 | index)) return;
  }
}

// A record to fill; 0: no memory. Returns index + 1.
uint32_t new_record(State* s) {
  uint32_t index = pop_free(s);
  if (index != 0) return index;
  if (load(s->mapping_count) < kMappingChunks * kMappingsPerChunk) {
    uint32_t next = __atomic_fetch_add(&s->mapping_count, 1, __ATOMIC_RELAXED);
    if (next < kMappingChunks * kMappingsPerChunk &&
        arena_object(s, s->mappings[next / kMappingsPerChunk],
                     kMappingsPerChunk * sizeof(MappingRecord)) != 0) {
      return next + 1;
    }
  }
  count(s->dropped_mappings);
  return 0;
}

void fill(State* s, uint32_t index, uint64_t begin, uint64_t length, const MappingOrigin& o) {
  MappingRecord* r = record_at(s, index - 1);
  r->sequence = __atomic_add_fetch(&s->sequence, 1, __ATOMIC_ACQ_REL);
  r->begin = encode(begin);
  r->length = length;
  r->kind = uint32_t(o.kind);
  r->stack = o.stack;
  r->thread = o.thread;
  r->time = o.time;
  r->flags = o.flags;
  r->truncated = o.truncated;
  publish(r->state, uint32_t(MappingState::live));
}

// The record of the mapping that begins at `begin`, as its slot tells it. Returns index + 1.
uint32_t record_of(State* s, uint64_t begin, Slot** slot_out) {
  Slot* slot = find_slot(s, begin);
  if (slot == nullptr || !is_valid(slot) || !is_mapping(unpack(*slot).kind)) return 0;
  uint32_t index = uint32_t(slot->w1);
  if (index == 0 || index > load(s->mapping_count)) return 0;
  MappingRecord* r = record_at(s, index - 1);
  if (r == nullptr || load(r->state) != uint32_t(MappingState::live) || decode(r->begin) != begin) {
    return 0;
  }
  *slot_out = slot;
  return index;
}

// Does another recorded mapping begin strictly inside? Leaves exist only where something was recorded,
// so the search is bounded by the ledger, not by the length.
bool another_begins_inside(State* s, uint64_t begin, uint64_t end) {
  for (uint64_t a = begin + kPage; a < end;) {
    uint64_t table = load(s->directory[a >> kTableShift]);
    if (table == 0) {
      a = ((a >> kTableShift) + 1) << kTableShift;
      continue;
    }
    uint64_t leaf =
        load(reinterpret_cast<uint64_t*>(table)[a >> kLeafShift & (kTableSize - 1)]);
    if (leaf == 0) {
      a = ((a >> kLeafShift) + 1) << kLeafShift;
      continue;
    }
    const Slot* slot = slot_in(s, leaf, a);
    if (is_valid(slot) && !is_upper_slot(slot) && is_mapping(unpack(*slot).kind)) return true;
    a += kPage;
  }
  return false;
}

bool usable(uint64_t begin, uint64_t length) {
  return (begin & (kPage - 1)) == 0 && length != 0 && begin + length > begin &&
         (begin + length - 1) >> kAddressBits == 0;
}

}  // namespace

void mapping_insert(State* s, uint64_t begin, uint64_t length, const MappingOrigin& origin) {
  length = (length + kPage - 1) & ~(kPage - 1);
  if (!usable(begin, length)) return;
  Slot* old_slot;
  uint32_t old = record_of(s, begin, &old_slot);
  if (old != 0 && record_at(s, old - 1)->length == length &&
      !another_begins_inside(s, begin, begin + length)) {
    clear_slot(old_slot);  // MAP_FIXED over the very same range
    push_free(s, old);
  }
  uint32_t index = new_record(s);
  if (index == 0) return;
  fill(s, index, begin, length, origin);
  Slot* slot = make_slot(s, begin);
  if (slot == nullptr) return;  // the record alone is right; its release will be a record too
  Slot value = pack({.valid = true, .upper = false, .kind = origin.kind, .truncated = false,
                     .incarnation = 0, .size = 0, .stack = 0, .thread = 0, .time = 0});
  value.w1 = index;
  write_slot(slot, value);
}

PendingRelease mapping_release(State* s, uint64_t begin, uint64_t length, const MappingOrigin& origin) {
  PendingRelease pending;
  length = (length + kPage - 1) & ~(kPage - 1);
  if (!usable(begin, length) || load(s->mapping_count) == 0) return pending;
  pending.begin = begin;
  Slot* slot;
  uint32_t index = record_of(s, begin, &slot);
  if (index != 0 && record_at(s, index - 1)->length == length &&
      !another_begins_inside(s, begin, begin + length)) {
    pending = {index, true, *slot, begin};
    clear_slot(slot);
    publish(record_at(s, index - 1)->state, uint32_t(MappingState::dead));
    return pending;
  }
  pending.record = new_record(s);
  if (pending.record != 0) fill(s, pending.record, begin, length, origin);
  return pending;
}

void mapping_undo(State* s, const PendingRelease& pending) {
  if (pending.record == 0) return;
  if (!pending.whole) return push_free(s, pending.record);
  publish(record_at(s, pending.record - 1)->state, uint32_t(MappingState::live));
  if (Slot* slot = find_slot(s, pending.begin)) write_slot(slot, pending.slot);
}

void mapping_commit(State* s, const PendingRelease& pending) {
  if (pending.record != 0 && pending.whole) push_free(s, pending.record);
}

uint64_t mapping_length(State* s, uint64_t begin) {
  Slot* slot;
  uint32_t index = record_of(s, begin, &slot);
  return index == 0 ? 0 : record_at(s, index - 1)->length;
}

}  // namespace heapledger::agent
