// SPDX-License-Identifier: Apache-2.0
#include "agent/mapped_segments.h"

#include "agent/mapping_cuts.h"

namespace heapledger::agent {
namespace {

bool usable(uint64_t begin, uint64_t length) {
  return (begin & (kPage - 1)) == 0 && length != 0 && begin + length > begin &&
         (begin + length - 1) >> kAddressBits == 0;
}

uint64_t whole_pages(uint64_t length) { return (length + kPage - 1) & ~(kPage - 1); }

bool mapping_at(State* s, uint64_t begin, Piece& piece) {
  uint32_t* entry = find_mapping_entry(s, begin);
  return entry != nullptr && read_piece(s, {begin, load(*entry)}, piece);
}

void note_length(State* s, uint64_t length) {
  for (uint64_t longest = load(s->mapping_longest); longest < length;) {
    if (replace(s->mapping_longest, longest, length)) return;
    longest = load(s->mapping_longest);
  }
}

// The release of a mapping as it was made, with nothing else inside. Returns its record, 0: it is not. While
// records wait for the thread that cuts, the one in the index may be an older mapping's of the same place,
// whose release waits, too.
uint32_t take_whole(State* s, uint64_t begin, uint64_t end) {
  Piece piece;
  if (!is_quiet(s, load(s->mapping_token))) return 0;
  if (!mapping_at(s, begin, piece) || piece.end != end || mapping_begins_in(s, begin + kPage, end) ||
      !take_piece(s, piece, MappingState::dead)) {
    return 0;
  }
  forget_mapping_begin(s, begin, piece.record);
  return piece.record;
}

}  // namespace

void mapping_insert(State* s, uint64_t begin, uint64_t length, const MappingOrigin& origin) {
  length = whole_pages(length);
  if (!usable(begin, length)) return;
  note_length(s, length);
  uint32_t* entry = make_mapping_entry(s, begin);
  if (entry == nullptr) return count(s->dropped_mappings);
  uint32_t index = new_mapping_record(s);
  if (index == 0) return;
  fill_mapping_record(s, index, begin, length, origin);
  publish_state(mapping_record(s, index), MappingState::live);
  // What is still recorded here was released by a way that is not hooked, or its release waits for the
  // thread that cuts.
  uint32_t token;
  uint32_t before = load(*entry);
  if (touches_no_mapping(s, begin, begin + length, token) && replace(*entry, before, index)) {
    if (is_quiet(s, token)) return;
    forget_mapping_begin(s, begin, index);
  }
  cut_or_queue(s, index);
}

PendingRelease mapping_release(State* s, uint64_t begin, uint64_t length, const MappingOrigin& origin) {
  length = whole_pages(length);
  if (!usable(begin, length) || load(s->mapping_count) == 0) return {};
  if (uint32_t whole = take_whole(s, begin, begin + length)) return {whole, true};
  uint32_t token;
  if (touches_no_mapping(s, begin, begin + length, token)) return {};
  uint32_t index = new_mapping_record(s);
  if (index == 0) return {};
  fill_mapping_record(s, index, begin, length, origin);
  publish_state(mapping_record(s, index), MappingState::live);
  return {index, false};
}

void mapping_undo(State* s, const PendingRelease& pending) {
  if (pending.record == 0) return;
  if (!pending.whole) return free_mapping_record(s, pending.record);
  publish_state(mapping_record(s, pending.record), MappingState::live);
  cut_or_queue(s, pending.record);  // its begin was forgotten
}

void mapping_commit(State* s, const PendingRelease& pending) {
  if (pending.record == 0) return;
  pending.whole ? free_mapping_record(s, pending.record) : cut_or_queue(s, pending.record);
}

uint64_t mapping_length(State* s, uint64_t begin) {
  Piece piece;
  return mapping_at(s, begin, piece) ? piece.end - piece.begin : 0;
}

}  // namespace heapledger::agent
