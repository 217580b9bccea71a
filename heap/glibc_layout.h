// SPDX-License-Identifier: Apache-2.0
//
// Where the fields of glibc's malloc lie, per release (x86-64). glibc gives no interface to its
// heap; these offsets were compiled from malloc/malloc.c and malloc/arena.c at each release's tag.
// They are checked against what is found (structure alone does not tell the releases apart: an
// empty table fits every layout).
#pragma once

#include <cstdint>
#include <optional>

#include "inferior/address.h"
#include "inferior/modules.h"

namespace heapledger {

// A chunk: prev_size, size | flags, user bytes ... The next chunk's prev_size belongs to the user.
inline constexpr std::uint64_t kChunkHeader = 16;   // bytes
inline constexpr std::uint64_t kMinChunk = 32;      // bytes
inline constexpr std::uint64_t kPreviousInUse = 1;  // flags in the size word
inline constexpr std::uint64_t kMapped = 2;
inline constexpr std::uint64_t kNonMainArena = 4;
inline constexpr std::uint64_t kSizeFlags = 7;

// All offsets and sizes in bytes.
struct GlibcLayout {
  // struct malloc_state (an arena)
  struct Arena {
    std::uint32_t flags = 0x4;
    std::uint32_t fastbins = 0x10;
    std::uint32_t fastbin_count = 10;
    std::uint32_t top = 0x60;
    std::uint32_t bins = 0x70;
    std::uint32_t next = 0x870;
    std::uint32_t attached_threads = 0x880;
    std::uint32_t system_mem = 0x888;
    std::uint32_t size = 0x898;
  } arena;
  // struct malloc_par (mp_)
  struct Parameters {
    std::uint32_t hugepage_size;  // 0: no such field
    std::uint32_t mapped_count;   // n_mmaps, an int; n_mmaps_max follows
    std::uint32_t mapped_bytes;   // mmapped_mem
    std::uint32_t sbrk_base;
    std::uint32_t size;
  } parameters;
  // struct tcache_perthread_struct
  struct Tcache {
    std::uint32_t count_size;  // of one element of counts[64], which is at 0
    std::uint32_t entries;     // entries[64]
    std::uint32_t size;
    std::uint64_t chunk_size() const { return size + 16; }
  } tcache;
  std::uint32_t heap_info_size = 0;  // ar_ptr 0, prev 8, size 16
  bool safe_linking = false;         // list links are stored as next ^ (place >> 12)

  Address decode_link(Address place, std::uint64_t stored) const {
    return safe_linking ? stored ^ (place >> 12) : stored;
  }
};

inline constexpr std::uint32_t kTcacheBins = 64;
inline constexpr std::uint64_t kHeapMaxSize = 64ull << 20;  // of one heap of a thread's arena

// The release this project's tests walk real processes of. The other layouts are checked against what is
// found, and tested on images made from this table.
inline constexpr unsigned kRunRelease = 36;

// glibc 2.`minor`; nothing for releases outside 2.28 .. 2.41.
std::optional<GlibcLayout> glibc_layout(unsigned minor);

// The 36 of "stable release version 2.36" in the file; static programs mostly do not carry it.
std::optional<unsigned> glibc_minor(const ElfFile& libc);

}  // namespace heapledger
