// SPDX-License-Identifier: Apache-2.0
//
// A process of any release of glibc that is known, made by hand: a static program with malloc's
// variables, a main arena, one thread's arena, cached and fastbin chunks, a mapped block. The offsets
// stand here a second time, as compiled from each release's source.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "heap/glibc_walk.h"
#include "tests/analysis/fake_memory.h"
#include "tests/inferior/elf_image.h"

namespace heapledger::made_glibc {

inline constexpr Address kText = 0x400000;
inline constexpr Address kData = 0x500000;
inline constexpr Address kArena = kData + 0x40;
inline constexpr Address kParameters = kData + 0x1000;
inline constexpr Address kTls = kData + 0x1f00;
inline constexpr Address kHeap = 0x600000;
inline constexpr Address kThread = 0x700100;  // fs_base
inline constexpr Address kOtherHeap = 0x4000000;
inline constexpr Address kMapped = 0x9000000;

struct Release {
  unsigned minor;
  unsigned count_size;          // of the tcache's counts
  unsigned entries, chunk;      // of tcache_perthread_struct
  unsigned mapped_count, mapped_bytes, sbrk_base;  // of mp_
  unsigned heap_info;           // bytes
  bool mangled;                 // links of lists
};

inline constexpr Release kReleases[] = {
    {28, 1, 0x40, 0x250, 0x28, 0x38, 0x48, 0x20, false},
    {29, 1, 0x40, 0x250, 0x28, 0x38, 0x48, 0x20, false},
    {30, 2, 0x80, 0x290, 0x28, 0x38, 0x48, 0x20, false},
    {31, 2, 0x80, 0x290, 0x28, 0x38, 0x48, 0x20, false},
    {32, 2, 0x80, 0x290, 0x28, 0x38, 0x48, 0x20, true},
    {33, 2, 0x80, 0x290, 0x28, 0x38, 0x48, 0x20, true},
    {34, 2, 0x80, 0x290, 0x28, 0x38, 0x48, 0x20, true},
    {35, 2, 0x80, 0x290, 0x3c, 0x50, 0x60, 0x30, true},
    {36, 2, 0x80, 0x290, 0x3c, 0x50, 0x60, 0x30, true},
    {37, 2, 0x80, 0x290, 0x3c, 0x50, 0x60, 0x30, true},
    {38, 2, 0x80, 0x290, 0x3c, 0x50, 0x60, 0x30, true},
    {39, 2, 0x80, 0x290, 0x3c, 0x50, 0x60, 0x30, true},
    {40, 2, 0x80, 0x290, 0x3c, 0x50, 0x60, 0x30, true},
    {41, 2, 0x80, 0x290, 0x3c, 0x50, 0x60, 0x30, true},
};
inline constexpr unsigned kTop = 0x60, kFastbins = 0x10, kNext = 0x870, kAttached = 0x880, kArenaSize = 0x898;

class Process {
 public:
  explicit Process(const Release& release) : release_(release) {
    for (Address begin : {kText, kHeap, kThread & ~Address{0xfff}}) memory.map({begin, begin + 0x2000});
    memory.map({kData, kData + 0x3000});
    memory.map({kOtherHeap, kOtherHeap + 0x21000});
    memory.map({kMapped, kMapped + 0x3000});
    make_main_arena();
    make_other_arena();
    memory.write(kMapped + 8, 0x3000 | 2);
    memory.write(kParameters + release.mapped_count, 1);
    memory.write(kParameters + release.mapped_bytes, 0x3000);
    memory.write(kParameters + release.sbrk_base, kHeap);
  }

  Result<HeapWalk> walk() const {
    const std::vector<ThreadTcb> threads{{1, kThread}};
    return walk(mappings(), threads);
  }
  Result<HeapWalk> walk(const Mappings& mappings, std::span<const ThreadTcb> threads) const {
    Module app{.path = "/app", .name = "app", .elf = elf(), .range = {kText, kData + 0x3000}};
    app.is_program = true;
    return walk_glibc_heap(memory, mappings, {app}, threads);
  }

  static Mappings mappings() {
    const auto mapping = [](Address begin, std::uint64_t size, bool writable, bool file) {
      return Mapping{.range = {begin, begin + size}, .readable = true, .writable = writable,
                     .inode = file ? 1u : 0u, .name = file ? "/app" : ""};
    };
    return {mapping(kText, 0x2000, false, true),
            mapping(kData, 0x3000, true, true),
            mapping(kHeap, 0x2000, true, false),
            mapping(kThread & ~Address{0xfff}, 0x2000, true, false),
            mapping(kOtherHeap, 0x21000, true, false),
            mapping(kMapped, 0x3000, true, false)};
  }

  test::FakeMemory memory;

 private:
  std::shared_ptr<const ElfFile> elf() const {
    std::string data(0x2000, '\0');
    const auto put = [&](Address at, std::uint64_t value, std::size_t size = 8) {
      std::memcpy(data.data() + (at - kData), &value, size);
    };
    put(kArena + kNext, kArena);
    put(kArena + kAttached, 1);
    for (unsigned at : {0u, 8u, 16u}) put(kParameters + at, 128 * 1024);
    put(kParameters + 24, 8);
    put(kParameters + release_.mapped_count + 4, 65536, 4);
    const std::string banner =
        fmt::format("GNU C Library (made up) stable release version 2.{}.\n", release_.minor);
    auto file = ElfFile::from_bytes(
        testing::elf_image(ET_EXEC, {{kText, banner, 0x2000, PF_R},
                                     {kData, data, 0x3000, PF_R | PF_W},
                                     {kTls, std::string(), 0x40, PF_R, PT_TLS}}),
        "/app");
    return file.value();
  }

  // Places a chunk; returns the next one's address. Flags belong to the size word.
  Address chunk(Address at, std::uint64_t size, std::uint64_t flags = 1) {
    memory.write(at + 8, size | flags);
    return at + size;
  }
  void link(Address place, Address next) {
    memory.write(place, release_.mangled ? next ^ place >> 12 : next);
  }

  void make_main_arena() {
    const Address cache = kHeap;
    const Address a = chunk(cache, release_.chunk);
    const Address cached = chunk(a, 0x20);
    const Address cached_too = chunk(cached, 0x30);
    const Address b = chunk(cached_too, 0x30);
    const Address fast = chunk(b, 0x40);
    const Address fast_too = chunk(fast, 0x20);
    const Address c = chunk(fast_too, 0x20);
    const Address free = chunk(c, 0x500);
    const Address d = chunk(free, 0x600);
    memory.write(d, 0x600);                  // free's footer
    const Address top = chunk(d, 0x20, 0);   // the chunk before it is free
    chunk(top, kHeap + 0x2000 - top);
    memory.write(kArena + kTop, top);
    memory.write(kArena + kNext, kOtherHeap + release_.heap_info);

    const std::uint64_t counts = 2;          // of chunks of 48 bytes: bin 1
    memory.write(cache + 16, counts << 8 * release_.count_size);
    memory.write(cache + 16 + release_.entries + 8, cached + 16);
    link(cached + 16, cached_too + 16);
    link(cached_too + 16, 0);
    memory.write(kThread - 0x40 + 0x10, cache + 16);  // the variable tcache

    memory.write(kArena + kFastbins, fast_too);
    link(fast_too + 16, fast);
    link(fast + 16, 0);

    for (Address used : {a, b, c, d}) used_.push_back(used + 16);
    for (Address gone : {cached, cached_too, fast, fast_too, free}) free_.push_back(gone + 16);
    cache_ = cache + 16;
  }

  void make_other_arena() {
    const Address arena = kOtherHeap + release_.heap_info;
    memory.write(kOtherHeap, arena);
    memory.write(kOtherHeap + 16, 0x21000);
    const Address first = (arena + kArenaSize + 15) & ~Address{15};
    const Address top = chunk(first, 0x30, 1 | 4);
    chunk(top, kOtherHeap + 0x21000 - top);
    memory.write(arena + kTop, top);
    memory.write(arena + kNext, kArena);
    used_.push_back(first + 16);
  }

  const Release& release_;

 public:
  std::vector<Address> used_, free_;  // user addresses, ascending; the mapped block not among them
  Address cache_ = 0;
};

}  // namespace heapledger::made_glibc
