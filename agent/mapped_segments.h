// SPDX-License-Identifier: Apache-2.0
//
// Mapped segments: mmap, mremap and shmat against munmap and shmdt.
//
// A mapping that is released as it was made - the usual case - costs one record that is reused. What
// is released in part, or together with others, is left to the debugger: the release becomes a record
// of its own, and the records are replayed in the order of their sequence numbers. A release takes
// its number before the system call and a mapping after it, so that the kernel's own order of the two
// is kept.
#pragma once

#include "agent/slots.h"

namespace heapledger::agent {

struct MappingOrigin {
  Kind kind;
  uint32_t stack;
  uint32_t thread;
  uint32_t time;
  uint32_t flags;
  bool truncated;
};

// After a successful mapping call.
void mapping_insert(State* s, uint64_t begin, uint64_t length, const MappingOrigin& origin);

// Before a releasing call; `undo` puts things back when that call fails, `commit` ends it.
struct PendingRelease {
  uint32_t record = 0;  // index + 1; 0: nothing was recorded
  bool whole = false;   // the record was a mapping, released as it was made
  Slot slot{};
  uint64_t begin = 0;
};
PendingRelease mapping_release(State* s, uint64_t begin, uint64_t length, const MappingOrigin& origin);
void mapping_undo(State* s, const PendingRelease& pending);
void mapping_commit(State* s, const PendingRelease& pending);

// Length of the segment attached at `begin` (shmdt tells none); 0: unknown.
uint64_t mapping_length(State* s, uint64_t begin);

}  // namespace heapledger::agent
