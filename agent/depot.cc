// SPDX-License-Identifier: Apache-2.0
//
// Two threads that meet a new stack at the same time may make two nodes for it: harmless, readers
// compare stacks by their frames.
#include "agent/depot.h"

namespace heapledger::agent {
namespace {

constexpr unsigned kProbes = 16;

uint64_t segment_length(unsigned i) { return uint64_t{kStackFirst} << (2 * i); }
StackEntry* entry_at(uint64_t segment, unsigned i, uint64_t hash, unsigned probe) {
  return reinterpret_cast<StackEntry*>(segment) +
         (((hash >> 24) + probe) & (segment_length(i) - 1));
}

int newest_segment(State* s) {
  int i = -1;
  while (i + 1 < int(kStackSegments) && load(s->stacks[i + 1]) != 0) ++i;
  return i;
}

uint32_t find_in(State* s, unsigned i, uint64_t hash) {
  uint64_t segment = load(s->stacks[i]);
  for (unsigned p = 0; p < kProbes; ++p) {
    StackEntry* e = entry_at(segment, i, hash, p);
    uint64_t key = load(e->hash);
    if (key == hash) return load(e->node);
    if (key == 0) return 0;
  }
  return 0;
}

bool insert_in(State* s, unsigned i, uint64_t hash, uint32_t node) {
  uint64_t segment = arena_object(s, s->stacks[i], segment_length(i) * sizeof(StackEntry));
  if (segment == 0) return true;  // no memory: the stack is found no more, and made anew next time
  for (unsigned p = 0; p < kProbes; ++p) {
    StackEntry* e = entry_at(segment, i, hash, p);
    uint64_t key = load(e->hash);
    if (key == hash) {
      if (load(e->node) == 0) publish(e->node, node);  // whoever took the entry was abandoned
      return true;
    }
    if (key == 0 && replace(e->hash, uint64_t{0}, hash)) {
      publish(e->node, node);
      count(s->stack_entries);
      return true;
    }
  }
  return false;  // crowded: the next segment is opened
}

void insert(State* s, uint64_t hash, uint32_t node) {
  int newest = newest_segment(s);
  unsigned i = newest < 0 ? 0 : unsigned(newest);
  while (i < kStackSegments && !insert_in(s, i, hash, node)) ++i;
}

uint32_t new_node(State* s, uint64_t pc, uint32_t parent, bool interrupted) {
  if (load(s->node_count) + 2 >= 1u << kStackBits) return 0;
  uint32_t id = __atomic_add_fetch(&s->node_count, 1, __ATOMIC_RELAXED);
  if (id >= 1u << kStackBits) return 0;
  uint64_t chunk = arena_object(s, s->nodes[id / kNodesPerChunk], kNodesPerChunk * sizeof(Node));
  if (chunk == 0) return 0;
  Node* n = reinterpret_cast<Node*>(chunk) + id % kNodesPerChunk;
  n->parent = parent;
  n->interrupted = interrupted;
  publish(n->pc, pc);
  return id;
}

}  // namespace

uint32_t depot_find(State* s, uint64_t hash) {
  int newest = newest_segment(s);
  for (int i = newest; i >= 0; --i) {
    uint32_t node = find_in(s, unsigned(i), hash);
    if (node == 0) continue;
    if (i != newest) insert_in(s, unsigned(newest), hash, node);
    return node;
  }
  return 0;
}

uint32_t depot_intern(State* s, const StackFrame* frames, uint32_t frame_count) {
  uint32_t node = 0;
  uint32_t known = frame_count;
  while (known > 0 && (node = depot_find(s, frames[known - 1].hash)) == 0) --known;
  for (; known < frame_count; ++known) {
    const StackFrame& f = frames[known];
    node = new_node(s, f.pc, node, (f.bp_slot & 2) != 0);
    if (node == 0) return 0;
    insert(s, f.hash, node);
  }
  return node;
}

}  // namespace heapledger::agent
