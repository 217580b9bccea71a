// SPDX-License-Identifier: Apache-2.0
//
// Where the stacks and control blocks of threads are: of the living, and of finished ones that the C
// library keeps mapped. glibc holds up to 40 MiB of stacks of finished threads for reuse, full of stale
// pointers, and the stack of a thread that was not joined until it is.
//
//   low                          sp                          fs_base              high
//   | guard | dead stack ........ | live stack | static TLS | struct pthread ... |
//
// A control block names the memory it lies in: glibc's {stackblock, stackblock_size}, musl's
// {map_base, map_size}. Both are found as a pair of words that describes memory around the block
// itself, so that no release's layout is built in.
#pragma once

#include <optional>
#include <vector>

#include "analysis/roots.h"
#include "heap/glibc_arena.h"

namespace heapledger {

struct ThreadArea {
  AddressRange stack;          // with TLS and control block, where they lie at its end
  AddressRange tls;            // static TLS and control block; may lie elsewhere (main thread)
};
// nullopt when nothing is known of it (no sp in any mapping).
std::optional<ThreadArea> find_thread_area(const RootSources& sources, const ThreadState& thread);

// A thread's dtv, where the addresses of its modules' thread-local storage stand: entry i, { value,
// what to free }, belongs to the module with TLS id i. Allocated, or in memory of the loader's own.
struct Dtv {
  Address first = 0;           // of entry 0
  std::uint64_t last_id = 0;
  // With the entry before the first, which holds last_id.
  AddressRange range() const { return {first - 16, first + (last_id + 1) * 16}; }
};
std::optional<Dtv> find_dtv(const Memory& memory, Address control_block);

struct FinishedThread {
  Address control_block = 0;
  AddressRange memory;
  bool joinable = false;        // ended, not joined: its result can still be asked for
};
std::vector<FinishedThread> find_finished_threads(const RootSources& sources,
                                                  const std::optional<Glibc>& glibc);
// The words of a finished thread that still count: its dtv's, and the result of a joinable one.
AddressRange dtv_word(const FinishedThread& thread);
std::optional<AddressRange> result_words(const RootSources& sources, const FinishedThread& thread);
// Its dynamic TLS blocks: allocated until the stack is used again, but nobody's.
std::vector<AddressRange> dynamic_tls(const RootSources& sources, const FinishedThread& thread);

}  // namespace heapledger
