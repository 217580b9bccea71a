// SPDX-License-Identifier: Apache-2.0
//
// The threads of a glibc process as its own memory tells them, and the malloc cache of each.
//
// A debugger knows every thread's fs_base; where nobody can ask one, the thread control blocks are
// found by glibc's own lists (since 2.34) or by their shape: %fs:0 and %fs:16 both hold fs_base
// (System V ABI x86-64 section 3.4.2, "thread pointer"; glibc tcbhead_t).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "heap/glibc_arena.h"
#include "inferior/mappings.h"
#include "inferior/memory.h"
#include "inferior/modules.h"

namespace heapledger {

struct ThreadTcb {
  std::uint64_t tid = 0;  // the kernel's; 0: unknown
  Address fs_base = 0;
};

// Sorted by fs_base. Includes threads that have ended but were not joined yet.
std::vector<ThreadTcb> find_tcbs(const Memory& memory, const Mappings& mappings,
                                 const std::vector<Module>& modules, const Glibc& glibc);

// One thread's tcache_perthread_struct: a chunk of the heap that no call of the program made.
struct Tcache {
  Address address = 0;        // user address of the chunk
  Address owner = 0;          // fs_base
  std::vector<Address> free;  // user addresses of the cached free chunks
};

// The word `tcache` of every thread that has one, followed. What does not fit is in `messages`. None:
// no thread has called malloc yet (memalign alone makes no cache), or the word was not found.
std::vector<Tcache> read_tcaches(const Memory& memory, const Glibc& glibc,
                                 const std::vector<Module>& modules,
                                 std::span<const ThreadTcb> threads,
                                 std::vector<std::string>& messages);

}  // namespace heapledger
