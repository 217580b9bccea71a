// SPDX-License-Identifier: Apache-2.0
//
// Processes of every release of glibc that is known, made by hand: a static program with malloc's
// variables, a main arena, one thread's arena, cached and fastbin chunks, a mapped block. The offsets
// stand here a second time, as compiled from each release's source.
#include <gtest/gtest.h>

#include <cstring>
#include <optional>

#include "heap/glibc_walk.h"
#include "tests/analysis/fake_memory.h"
#include "tests/inferior/elf_image.h"

namespace heapledger {
namespace {

constexpr Address kText = 0x400000;
constexpr Address kData = 0x500000;
constexpr Address kArena = kData + 0x40;
constexpr Address kParameters = kData + 0x1000;
constexpr Address kTls = kData + 0x1f00;
constexpr Address kHeap = 0x600000;
constexpr Address kThread = 0x700100;  // fs_base
constexpr Address kOtherHeap = 0x4000000;
constexpr Address kMapped = 0x9000000;

struct Release {
  unsigned minor;
  unsigned count_size;          // of the tcache's counts
  unsigned entries, chunk;      // of tcache_perthread_struct
  unsigned mapped_count, mapped_bytes, sbrk_base;  // of mp_
  unsigned heap_info;           // bytes
  bool mangled;                 // links of lists
};

constexpr Release kReleases[] = {
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
constexpr unsigned kTop = 0x60, kFastbins = 0x10, kNext = 0x870, kAttached = 0x880, kArenaSize = 0x898;

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
    const auto mapping = [](Address begin, std::uint64_t size, bool writable, bool file) {
      return Mapping{.range = {begin, begin + size}, .readable = true, .writable = writable,
                     .inode = file ? 1u : 0u, .name = file ? "/app" : ""};
    };
    const Mappings mappings{mapping(kText, 0x2000, false, true), mapping(kData, 0x3000, true, true),
                            mapping(kHeap, 0x2000, true, false),
                            mapping(kThread & ~Address{0xfff}, 0x2000, true, false),
                            mapping(kOtherHeap, 0x21000, true, false),
                            mapping(kMapped, 0x3000, true, false)};
    Module app{.path = "/app", .name = "app", .elf = elf(), .range = {kText, kData + 0x3000}};
    app.is_program = true;
    const std::vector<ThreadTcb> threads{{1, kThread}};
    return walk_glibc_heap(memory, mappings, {app}, threads);
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
    EXPECT_TRUE(file) << file.error().message;
    return file.value_or(nullptr);
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

std::vector<Address> starts(const std::vector<Block>& blocks) {
  std::vector<Address> result;
  for (const Block& block : blocks) result.push_back(block.start);
  return result;
}

class GlibcLayouts : public ::testing::TestWithParam<Release> {};

TEST_P(GlibcLayouts, EveryBlockIsFound) {
  const Process process(GetParam());
  const auto walk = process.walk();
  ASSERT_TRUE(walk) << walk.error().message;
  EXPECT_EQ(walk->messages, std::vector<std::string>());
  std::vector<Address> expected = process.used_;
  expected.push_back(kMapped + 16);
  EXPECT_EQ(starts(walk->used), expected);
  EXPECT_EQ(starts(walk->free), process.free_);
  EXPECT_EQ(starts(walk->internal), std::vector<Address>{process.cache_});
  EXPECT_EQ(walk->used.back().size, 0x3000u - 16);
  EXPECT_EQ(walk->mapped, 1u);
  // It is said of every release but the one the other tests run.
  const std::vector<std::string> untested{fmt::format(
      "the heap is read by the layout of glibc 2.{}, checked against what was found there but never "
      "run against that release", GetParam().minor)};
  EXPECT_EQ(walk->notes, GetParam().minor == 36 ? std::vector<std::string>() : untested);
}

// The neighbour's layout does not fit: what is wrong shows.
TEST_P(GlibcLayouts, AnotherReleasesLayoutIsNoticed) {
  Release wrong = GetParam();
  wrong.chunk = wrong.chunk == 0x290 ? 0x250 : 0x290;
  const auto walk = Process(wrong).walk();
  ASSERT_TRUE(walk) << walk.error().message;
  EXPECT_FALSE(walk->complete());
}

INSTANTIATE_TEST_SUITE_P(Releases, GlibcLayouts, ::testing::ValuesIn(kReleases),
                         [](const auto& info) { return fmt::format("2_{}", info.param.minor); });

TEST(GlibcLayoutsOutside, AreRefused) {
  for (unsigned minor : {27u, 42u}) {
    Release release = kReleases[0];
    release.minor = minor;
    const auto walk = Process(release).walk();
    ASSERT_FALSE(walk);
    EXPECT_EQ(walk.error().message,
              fmt::format("cannot read the heap of app: glibc 2.{} is not supported (2.28 to 2.41 are)",
                          minor));
  }
}

}  // namespace
}  // namespace heapledger
