// SPDX-License-Identifier: Apache-2.0
//
// The blocks of a process from its allocator's own structures: works where nothing was tracked, and is
// the oracle for the hooks (on one stop, both must name the same blocks). Needs no debug symbols.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "heap/glibc_threads.h"
#include "inferior/block.h"
#include "inferior/mappings.h"
#include "inferior/memory.h"
#include "inferior/modules.h"
#include "inferior/present_pages.h"

namespace heapledger {

struct HeapWalk {
  std::vector<Block> used;      // the program's; sorted by address
  std::vector<Block> free;      // recognised free blocks; sorted by address
  std::vector<Block> internal;  // malloc's own: each thread's tcache_perthread_struct
  std::size_t mapped = 0;       // how many of `used` have a mapping of their own
  std::vector<AddressRange> unknown;  // heap memory that could not be classified
  std::vector<AddressRange> regions;  // all heap memory, top chunks included, without mapped blocks
  // The arenas: they point at free and used chunks and own none. Not in it yet: the thread-local
  // words `tcache` and `thread_arena`.
  std::vector<AddressRange> metadata;
  std::vector<std::string> messages;  // what was not seen or does not fit
  std::vector<std::string> notes;     // on how far the walk itself is to be trusted
  bool requested_sizes = false;       // the bytes that were asked for; false: usable bytes, a few more

  bool complete() const { return messages.empty(); }
};

// glibc's heap, or musl's. `threads`: thread pointers where the debugger knows them; found in memory when
// empty. `foreign`: memory in which no block with a mapping of its own can begin. `touched` may be empty.
// An Error says why there is no heap to walk.
Result<HeapWalk> walk_heap(const Memory& memory, const Mappings& mappings,
                           const std::vector<Module>& modules, std::span<const ThreadTcb> threads,
                           std::span<const AddressRange> foreign = {}, const TouchedParts& touched = {});

// By address. Nearly always there is nothing to do, and looking is cheap.
void sort_blocks(std::vector<Block>& blocks);

}  // namespace heapledger
