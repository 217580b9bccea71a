// SPDX-License-Identifier: Apache-2.0
//
// Cutting what was released in part out of the mapping records.
//
// Where a reader or another thread looks at any instruction, the answer is the same: the release's
// own record counts until everything older is cut, and a mapping counts until its pieces do.
//
//   record   mmap 7   |----------------|          mmap 7   |-----|
//   record   munmap 9       |----|          ->    mmap 7              |-----|
//
// One thread cuts at a time, and nobody waits for it: who comes meanwhile leaves its record in a
// queue, and the one that cuts looks there before it goes. Signals are held off meanwhile, so that no
// handler can leave by longjmp with the token in its pocket.
#pragma once

#include "agent/mapping_records.h"

namespace heapledger::agent {

// `record` (index + 1), live, in no index: a release, which is cut out of all older mappings and then
// given back; or a mapping, which is indexed once older ones are cut. Now, or as soon as the thread
// that cuts comes to it. Indexed mappings are therefore disjoint.
void cut_or_queue(State* s, uint32_t record);

// Does a mapping that counts begin in [begin, end)?
bool mapping_begins_in(State* s, uint64_t begin, uint64_t end);

// Sure that no mapping lies in [begin, end), not even one that waits to be indexed or is being cut?
// True of the moment of `token`, and as long as `is_quiet(s, token)`.
bool touches_no_mapping(State* s, uint64_t begin, uint64_t end, uint32_t& token);
bool is_quiet(State* s, uint32_t since);

// Nothing of `record` begins at `begin` any more. What another thread has put there stays.
void forget_mapping_begin(State* s, uint64_t begin, uint32_t record);

}  // namespace heapledger::agent
