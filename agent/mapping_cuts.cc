// SPDX-License-Identifier: Apache-2.0
#include "agent/mapping_cuts.h"

namespace heapledger::agent {
namespace {

constexpr uint32_t kStepsDown = 1 << 16;
constexpr unsigned kRounds = 16;  // of looking into the queue again

// The nearest mapping below `begin`, if it reaches into what begins there. Indexed mappings are
// disjoint: no other one does. false: it cannot be told.
bool reaching_in(State* s, uint64_t begin, Piece& piece, bool& found) {
  uint64_t longest = load(s->mapping_longest);
  uint64_t low = begin > longest ? begin - longest : 0;
  uint32_t steps = kStepsDown;
  found = false;
  for (uint64_t below = begin;;) {
    MappingBegin at = last_mapping_before(s, below, low, steps);
    if (at.record == 0) return steps != 0;
    below = at.address;
    if (!read_piece(s, at, piece)) continue;
    found = piece.end > begin;
    return true;
  }
}

// Visits every indexed mapping that overlaps [begin, end) until `visit` says false. Returns whether all
// were visited.
template <typename Visit>
bool each_overlapping(State* s, uint64_t begin, uint64_t end, Visit visit) {
  Piece piece;
  bool found;
  if (!reaching_in(s, begin, piece, found) || (found && !visit(piece))) return false;
  for (uint64_t from = begin;;) {
    MappingBegin at = first_mapping_from(s, from, end);
    if (at.record == 0) return true;
    from = at.address + kPage;
    if (read_piece(s, at, piece) && !visit(piece)) return false;
  }
}

// The part of `piece` from `begin` on becomes a mapping of its own, less what newer ones have taken.
bool split_off(State* s, const Piece& piece, uint64_t begin) {
  uint32_t index = 0;
  for (Piece newer; begin < piece.end;) {
    uint32_t* entry = make_mapping_entry(s, begin);
    uint32_t before = entry == nullptr ? 0 : load(*entry);
    if (entry == nullptr) break;
    if (read_piece(s, {begin, before}, newer)) {
      if (newer.sequence <= piece.sequence) break;
      begin = newer.end;
      continue;
    }
    if (index == 0 && (index = new_mapping_record(s)) == 0) return false;
    copy_mapping_record(s, index, piece.record, begin, piece.end);
    publish_state(mapping_record(s, index), MappingState::live);
    if (replace(*entry, before, index)) return true;
    publish_state(mapping_record(s, index), MappingState::unused);  // somebody maps there right now
  }
  if (index != 0) free_mapping_record(s, index);
  return begin >= piece.end;
}

// Takes [begin, end) away from an older mapping. false: its record has to stay as it is.
bool cut_out(State* s, const Piece& piece, uint64_t begin, uint64_t end) {
  if (piece.kind == Kind::shmat) return false;
  if (!take_piece(s, piece, MappingState::cutting)) return true;  // released as a whole meanwhile
  MappingRecord* r = mapping_record(s, piece.record);
  if (piece.end > end && !split_off(s, piece, end)) {
    publish_state(r, MappingState::live);
    return false;
  }
  if (piece.begin < begin) {
    publish(r->length, begin - piece.begin);
    publish_state(r, MappingState::live);
  } else {
    forget_mapping_begin(s, piece.begin, piece.record);
    free_mapping_record(s, piece.record);
  }
  return true;
}

bool cut_older(State* s, const MappingRecord& r) {
  uint64_t begin = decode(r.begin), end = begin + r.length, sequence = r.sequence;
  bool all = true;
  bool seen = each_overlapping(s, begin, end, [&](const Piece& piece) {
    if (piece.sequence < sequence && !cut_out(s, piece, begin, end)) all = false;
    return true;
  });
  return all && seen;
}

// A mapping whose begin was another's when it was made.
void enter_into_index(State* s, uint32_t record) {
  const MappingRecord* r = mapping_record(s, record);
  const uint64_t begin = decode(r->begin);
  uint32_t* entry = make_mapping_entry(s, begin);
  if (entry == nullptr) return;
  for (Piece newer;;) {
    uint32_t before = load(*entry);
    if (read_piece(s, {begin, before}, newer)) break;
    if (replace(*entry, before, record)) return;
  }
  Piece piece{record, Kind(r->kind), r->sequence, begin, begin + r->length};
  if (split_off(s, piece, begin)) free_mapping_record(s, record);
}

void process(State* s, uint32_t record) {
  const Kind kind = Kind(mapping_record(s, record)->kind);
  bool cut = cut_older(s, *mapping_record(s, record));
  if (is_mapping(kind)) {
    enter_into_index(s, record);
  } else if (cut) {
    free_mapping_record(s, record);
  }
}

void push(State* s, uint32_t record) {
  for (;;) {
    uint32_t head = load(s->mapping_queue);
    publish(mapping_record(s, record)->next, head);
    if (replace(s->mapping_queue, head, record)) return;
  }
}

// The whole queue, in the order it was filled in.
uint32_t take_queue(State* s) {
  uint32_t list = __atomic_exchange_n(&s->mapping_queue, 0, __ATOMIC_ACQ_REL), first = 0;
  while (list != 0) {
    MappingRecord* r = mapping_record(s, list);
    uint32_t rest = r->next;
    publish(r->next, first);  // who has an old head of the free records still reads it (pop_free)
    first = list;
    list = rest;
  }
  return first;
}

bool is_taken(uint32_t token) { return (token & 1) != 0; }

}  // namespace

void forget_mapping_begin(State* s, uint64_t begin, uint32_t record) {
  if (uint32_t* entry = find_mapping_entry(s, begin)) replace(*entry, record, 0u);
}

bool mapping_begins_in(State* s, uint64_t begin, uint64_t end) {
  for (Piece piece;;) {
    MappingBegin at = first_mapping_from(s, begin, end);
    if (at.record == 0) return false;
    if (read_piece(s, at, piece)) return true;
    begin = at.address + kPage;
  }
}

bool is_quiet(State* s, uint32_t since) {
  return load(s->mapping_queue) == 0 && load(s->mapping_token) == since && !is_taken(since);
}

bool touches_no_mapping(State* s, uint64_t begin, uint64_t end, uint32_t& token) {
  token = load(s->mapping_token);
  return is_quiet(s, token) &&
         each_overlapping(s, begin, end, [](const Piece&) { return false; }) && is_quiet(s, token);
}

void cut_or_queue(State* s, uint32_t record) {
  push(s, record);
  uint64_t signals = sys::hold_signals();
  for (unsigned i = 0; i < kRounds && load(s->mapping_queue) != 0; ++i) {
    uint32_t token = load(s->mapping_token);
    if (is_taken(token) || !replace(s->mapping_token, token, token + 1)) break;
    for (uint32_t r = take_queue(s); r != 0;) {
      uint32_t next = mapping_record(s, r)->next;
      process(s, r);
      r = next;
    }
    publish(s->mapping_token, token + 2);
  }
  sys::restore_signals(signals);
}

}  // namespace heapledger::agent
