// SPDX-License-Identifier: Apache-2.0
//
// The records of mapped segments: handing them out, filling them, giving them back. A record is used
// again and again; whoever holds only its index must read it as a whole and look whether it is still
// the one that was meant (`read_piece`).
#pragma once

#include "agent/mapping_index.h"

namespace heapledger::agent {

struct MappingOrigin {
  Kind kind;
  uint32_t stack;
  uint32_t thread;
  uint32_t time;
  uint32_t flags;
  bool truncated;
};

inline bool is_mapping(Kind kind) {
  return kind == Kind::mmap || kind == Kind::mremap || kind == Kind::shmat;
}

inline MappingRecord* mapping_record(State* s, uint32_t index) {  // index + 1
  uint64_t chunk = load(s->mappings[(index - 1) / kMappingsPerChunk]);
  return reinterpret_cast<MappingRecord*>(chunk) + (index - 1) % kMappingsPerChunk;
}

inline bool change_state(MappingRecord* r, MappingState from, MappingState to) {
  return replace(r->state, uint32_t(from), uint32_t(to));
}
inline void publish_state(MappingRecord* r, MappingState state) { publish(r->state, uint32_t(state)); }

// A record to fill, as index + 1; 0: no memory, which is counted.
uint32_t new_mapping_record(State* s);
void free_mapping_record(State* s, uint32_t index);

// Everything but the state: a reader does not see it yet. Takes the next sequence number.
void fill_mapping_record(State* s, uint32_t index, uint64_t begin, uint64_t length,
                         const MappingOrigin& origin);

// The same mapping's record for a part of it.
void copy_mapping_record(State* s, uint32_t index, uint32_t whole, uint64_t begin, uint64_t end);

// A mapping, or what is left of one, as its record said at one moment.
struct Piece {
  uint32_t record;  // index + 1
  Kind kind;
  uint64_t sequence;
  uint64_t begin;
  uint64_t end;
};

// false: no mapping that counts begins there any more.
bool read_piece(State* s, MappingBegin at, Piece& piece);

// Takes the mapping for this thread alone, if it is still what `piece` says.
bool take_piece(State* s, const Piece& piece, MappingState to);

}  // namespace heapledger::agent
