// SPDX-License-Identifier: Apache-2.0
//
// Roots: the places from which a program can still get at its blocks. Registers of every thread,
// live stack, thread-local storage, module data, and other memory the program mapped. Everything
// else that is mapped is named too, with the reason why it is none (`leaks roots`).
//
// Never a root: stack below sp - 128 (dead frames), stacks and control blocks of finished threads
// that the C library keeps for reuse, allocator memory outside live blocks (freed memory, headers,
// arenas), our own memory, kernel pages. Any of them would keep lost blocks alive.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/coverage.h"
#include "analysis/verdict.h"
#include "heap/heap_walk.h"
#include "inferior/block.h"
#include "inferior/mappings.h"
#include "inferior/memory.h"
#include "inferior/modules.h"
#include "inferior/target.h"

namespace heapledger {

struct Root {
  RootKind kind = RootKind::mapping;
  AddressRange range;                 // memory; empty for registers
  std::vector<std::uint64_t> words;   // registers: 15 general ones in ThreadState's order, then vector
  std::uint64_t tid = 0;              // of a stack, TLS or registers; 0 otherwise
  std::string name;                   // "app", "stack of thread 3", "/dev/shm/x", "anonymous" ...
  bool shared = false;                // memory that other processes may write
  bool through_blocks = false;        // also scans inside tracked blocks (a stack that is one);
                                      // otherwise blocks in the range are cut out
};

enum class RegionUse : std::uint8_t {
  program,         // data the program can get at: a root, or a file that is not scanned
  live_stack,
  dead_stack,      // below sp
  finished_stack,  // of a finished thread
  heap,            // an allocator's: headers, freed and live blocks
  code,
  own,             // ours
  system,          // the kernel's, devices, not readable
};

// One piece of the address space and what it is to the scan. Pieces are sorted and disjoint and cover
// every readable mapping.
struct Region {
  AddressRange range;
  std::string name;                   // of the mapping
  std::optional<RootKind> root;       // nullopt: no root
  std::uint64_t tid = 0;
  RegionUse use = RegionUse::program;
  std::string why;                    // "live stack of thread 3", "dead stack below sp", ...
};

struct RootSet {
  std::vector<Root> roots;
  std::vector<Region> regions;
  std::vector<AddressRange> excluded;        // sorted, disjoint: never scanned, not even inside roots
                                             // or blocks (allocator state in module data ...)
  std::vector<Address> runtime_slots;        // sorted: an interior pointer here counts as a start
                                             // pointer (TCB->dtv)
  std::vector<AddressRange> vtable_ranges;   // sorted: readable file mappings of modules
  std::vector<AddressRange> code_ranges;     // sorted: executable file mappings
  std::vector<AddressRange> loader_data;     // sorted: writable data of ld.so (or of a static program)
  Coverage coverage;                         // threads and skipped bytes only
};

struct RootSources {
  const Memory& memory;
  const Mappings& mappings;
  const std::vector<Module>& modules;
  std::span<const ThreadState> threads;
  std::uint64_t pid = 0;                         // tid of the main thread
  std::span<const Block> blocks;                 // sorted, disjoint
  std::span<const AddressRange> own_memory;
  std::span<const AddressRange> mapped_segments;  // sorted; user's mmap segments the ledger knows
  // Freed and untracked memory of allocators counts as a root: for blocks that were there before
  // tracking began. Hides leaks, never invents one.
  bool heap_gaps_are_roots = false;
  // malloc's own structures, where they were walked: there every block is known, so the gaps are no
  // roots; what the walk could not make out is one. nullptr: not walked.
  const HeapWalk* heap = nullptr;
  bool shared_files = false;                     // scan shared file mappings as well
  // sp of the frame that a signal on an alternate stack interrupted, where the unwinder knows it.
  std::function<std::optional<Address>(const ThreadState&, AddressRange own_stack)> interrupted_sp;
};

RootSet collect_roots(const RootSources& sources);

// Fills vtable_ranges and code_ranges alone.
void note_files(const Mappings& mappings, RootSet& set);

}  // namespace heapledger
