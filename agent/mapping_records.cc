// SPDX-License-Identifier: Apache-2.0
#include "agent/mapping_records.h"

namespace heapledger::agent {
namespace {

// Free records form a stack of indexes; the tag in the upper half defeats ABA.
uint32_t pop_free(State* s) {
  for (;;) {
    uint64_t head = load(s->mapping_free);
    uint32_t index = uint32_t(head);
    if (index == 0) return 0;
    uint64_t rest = ((head >> 32) + 1) << 32 | load(mapping_record(s, index)->next);
    if (replace(s->mapping_free, head, rest)) return index;
  }
}

bool counts(uint32_t state) {
  return state == uint32_t(MappingState::live) || state == uint32_t(MappingState::cutting);
}

bool same(const MappingRecord* r, const Piece& piece) {
  return r->sequence == piece.sequence && decode(r->begin) == piece.begin &&
         r->length == piece.end - piece.begin;
}

// What read_piece reads at any time, also of a record that is being filled again.
void say_piece(MappingRecord* r, uint64_t sequence, uint64_t begin, uint64_t length, uint32_t kind) {
  publish(r->sequence, sequence);
  publish(r->begin, encode(begin));
  publish(r->length, length);
  publish(r->kind, kind);
}

}  // namespace

uint32_t new_mapping_record(State* s) {
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

void free_mapping_record(State* s, uint32_t index) {
  MappingRecord* r = mapping_record(s, index);
  publish_state(r, MappingState::unused);
  for (;;) {
    uint64_t head = load(s->mapping_free);
    publish(r->next, uint32_t(head));
    if (replace(s->mapping_free, head, ((head >> 32) + 1) << 32 | index)) return;
  }
}

void fill_mapping_record(State* s, uint32_t index, uint64_t begin, uint64_t length,
                         const MappingOrigin& o) {
  MappingRecord* r = mapping_record(s, index);
  uint64_t sequence = __atomic_add_fetch(&s->sequence, 1, __ATOMIC_ACQ_REL);
  say_piece(r, sequence, begin, length, uint32_t(o.kind));
  r->stack = o.stack;
  r->thread = o.thread;
  r->time = o.time;
  r->flags = o.flags;
  r->truncated = o.truncated;
}

void copy_mapping_record(State* s, uint32_t index, uint32_t whole, uint64_t begin, uint64_t end) {
  MappingRecord* to = mapping_record(s, index);
  const MappingRecord* from = mapping_record(s, whole);
  say_piece(to, from->sequence, begin, end - begin, from->kind);
  to->stack = from->stack;
  to->thread = from->thread;
  to->time = from->time;
  to->flags = from->flags;
  to->truncated = from->truncated;
}

bool read_piece(State* s, MappingBegin at, Piece& piece) {
  if (at.record == 0) return false;
  const MappingRecord* r = mapping_record(s, at.record);
  if (!counts(load(r->state))) return false;
  piece = {at.record, Kind(load(r->kind)), load(r->sequence), decode(load(r->begin)), 0};
  piece.end = piece.begin + load(r->length);
  return is_mapping(piece.kind) && piece.begin == at.address && counts(load(r->state)) &&
         load(r->sequence) == piece.sequence;
}

bool take_piece(State* s, const Piece& piece, MappingState to) {
  MappingRecord* r = mapping_record(s, piece.record);
  if (!change_state(r, MappingState::live, to)) return false;
  if (same(r, piece)) return true;
  publish_state(r, MappingState::live);  // another one's by now
  return false;
}

}  // namespace heapledger::agent
