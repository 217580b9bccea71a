// SPDX-License-Identifier: Apache-2.0
//
// Finding glibc's arenas in a process without debug symbols of libc.
//
// main_arena and mp_ are static variables. libc's file shows where they are, because both have
// static initialisers: main_arena is all zero but for `.next = &main_arena, .attached_threads = 1`,
// and mp_ begins with { 128 KiB, 128 KiB, 128 KiB, 8 } and holds `.n_mmaps_max = 65536`.
#pragma once

#include <optional>
#include <vector>

#include "heap/glibc_layout.h"
#include "inferior/memory.h"
#include "inferior/modules.h"

namespace heapledger {

struct Glibc {
  const Module* module = nullptr;  // libc, or the static program that contains it
  unsigned minor = 0;              // 0: not stated, the layout follows from mp_'s
  GlibcLayout layout{};
  Address main_arena = 0;             // run-time addresses
  std::optional<Address> parameters;  // mp_

  bool is_static() const { return module->is_program; }
};

// The first module that is or contains glibc. An Error when there is none, when its file cannot be
// read, or when its release is not one we know.
Result<Glibc> find_glibc(const std::vector<Module>& modules);

// One arena's state as read: plain words, checked by nobody yet.
struct Arena {
  Address address = 0;
  bool is_main = false;
  bool contiguous = true;
  Address top = 0;
  std::uint64_t system_bytes = 0;  // got from the system
  std::vector<Address> fastbins;   // heads, chunk addresses

  // malloc has not been called in it yet: top is empty or the arena's own unsorted bin.
  bool is_unused(const GlibcLayout& layout) const {
    return top == 0 || (top >= address && top < address + layout.arena.size);
  }
};

// main_arena first, then its ring of `next`. Stops (and says so in `messages`) where the ring is
// damaged; never returns an arena twice.
std::vector<Arena> read_arenas(const Memory& memory, const Glibc& glibc,
                               std::vector<std::string>& messages);

// A 64 MiB aligned piece of a thread's arena: heap_info, then (in the first one) the arena itself,
// then chunks up to the top chunk or to `end`.
struct ArenaHeap {
  Address address = 0;  // of heap_info
  Address first_chunk = 0;
  Address end = 0;
};
std::vector<ArenaHeap> read_heaps(const Memory& memory, const Glibc& glibc, const Arena& arena,
                                  std::vector<std::string>& messages);

}  // namespace heapledger
