// SPDX-License-Identifier: Apache-2.0
//
// Mapped segments: mmap, mremap and shmat against munmap and shmdt.
//
// A mapping that is released as it was made - the usual case - costs one record that is reused. What
// is released in part, or together with others, is a record of its own only until the call has
// succeeded: then it is cut out of the mappings it touches, which leaves at most one more record than
// before. Until then the debugger replays the records in the order of their sequence numbers. A
// release takes its number before the system call and a mapping after it, so that the kernel's own
// order of the two is kept.
//
// Cut out of attached shared memory nothing is (shmdt releases all that is left of a segment by its
// address): such a release stays a record.
#pragma once

#include "agent/mapping_records.h"

namespace heapledger::agent {

// After a successful mapping call.
void mapping_insert(State* s, uint64_t begin, uint64_t length, const MappingOrigin& origin);

// Before a releasing call, or one that maps over what is there; `undo` puts things back when that call
// fails, `commit` ends it.
struct PendingRelease {
  uint32_t record = 0;  // index + 1; 0: nothing was recorded
  bool whole = false;   // the record was a mapping, released as it was made
};
PendingRelease mapping_release(State* s, uint64_t begin, uint64_t length, const MappingOrigin& origin);
void mapping_undo(State* s, const PendingRelease& pending);
void mapping_commit(State* s, const PendingRelease& pending);

// Length of the segment attached at `begin` (shmdt tells none); 0: unknown.
uint64_t mapping_length(State* s, uint64_t begin);

}  // namespace heapledger::agent
