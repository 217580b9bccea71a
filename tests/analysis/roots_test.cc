// SPDX-License-Identifier: Apache-2.0
//
// Claims on made-up address spaces; live processes are in labelled_programs_test.
#include "analysis/roots.h"

#include <gtest/gtest.h>

#include "tests/analysis/fake_memory.h"

namespace heapledger::test {
namespace {

struct World {
  FakeMemory memory;
  Mappings mappings;
  std::vector<Module> modules;
  std::vector<ThreadState> threads;
  std::vector<Block> blocks;
  std::vector<AddressRange> own;
  std::vector<AddressRange> segments;
  std::function<std::optional<Address>(const ThreadState&, AddressRange)> interrupted_sp;
  bool gaps = false;
  bool shared_files = false;

  Mapping& map(Address begin, Address end, std::string name = "", const char* protection = "rw-p") {
    Mapping m;
    m.range = {begin, end};
    m.readable = protection[0] == 'r';
    m.writable = protection[1] == 'w';
    m.executable = protection[2] == 'x';
    m.shared = protection[3] == 's';
    m.name = std::move(name);
    m.inode = m.name.starts_with("/") ? 7 : 0;
    if (m.readable) memory.map(m.range);
    mappings.push_back(m);
    return mappings.back();
  }
  ThreadState& thread(std::uint64_t tid, Address sp, Address fs_base = 0) {
    ThreadState t;
    t.tid = tid;
    t.index = static_cast<std::uint32_t>(threads.size() + 1);
    t.sp = sp;
    t.fs_base = fs_base;
    t.has_registers = true;
    threads.push_back(t);
    return threads.back();
  }
  // A control block that says which memory it lies in, as glibc's and musl's do.
  void control_block(Address at, AddressRange memory_of_thread) {
    memory.write(at, at);
    memory.write(at + 16, at);
    memory.write(at + 0x690, memory_of_thread.begin);
    memory.write(at + 0x698, memory_of_thread.size());
  }
  RootSet collect() const {
    RootSources s{memory, mappings, modules, threads, 1, blocks, own, segments};
    s.interrupted_sp = interrupted_sp;
    s.heap_gaps_are_roots = gaps;
    s.shared_files = shared_files;
    return collect_roots(s);
  }
  // "begin-end kind" of each memory root, in hex.
  std::string roots() const {
    std::string text;
    for (const Root& r : collect().roots) {
      if (r.kind == RootKind::registers) continue;
      text += fmt::format("{:x}-{:x} {}\n", r.range.begin, r.range.end, root_kind_name(r.kind));
    }
    return text;
  }
};

TEST(Roots, SkipsStackBelowTheRedZone) {
  World w;
  w.map(0x7ff000000000, 0x7ff000021000, "[stack]");
  w.thread(1, 0x7ff000010000);
  EXPECT_EQ(w.roots(), "7ff00000ff80-7ff000021000 stack\n");
}

TEST(Roots, TakesEveryRegister) {
  World w;
  w.map(0x7ff000000000, 0x7ff000021000, "[stack]");
  ThreadState& t = w.thread(1, 0x7ff000010000);
  t.general.fill(5);
  t.vector = {6, 7};
  const RootSet set = w.collect();
  ASSERT_EQ(set.roots.size(), 2u);
  EXPECT_EQ(set.roots[1].kind, RootKind::registers);
  EXPECT_EQ(set.roots[1].words.size(), 17u);
  EXPECT_EQ(set.coverage.threads_without_registers, 0u);
}

TEST(Roots, CountsThreadsWithoutRegisters) {
  World w;
  w.map(0x7ff000000000, 0x7ff000021000, "[stack]");
  w.thread(1, 0x7ff000010000).has_registers = false;
  w.thread(2, 0).has_registers = false;
  const RootSet set = w.collect();
  EXPECT_EQ(set.coverage.threads, 2u);
  EXPECT_EQ(set.coverage.threads_without_registers, 2u);
  EXPECT_EQ(set.coverage.threads_without_stack, 1u);
}

TEST(Roots, TellsAStackFromItsMergedNeighbours) {
  // One mapping: the program's memory, a thread's stack, the program's again.
  World w;
  w.map(0x100000, 0x160000);
  const AddressRange stack{0x120000, 0x140000};
  w.control_block(0x13f000, stack);
  w.thread(2, 0x130000, 0x13f000);
  EXPECT_EQ(w.roots(),
            "100000-120000 mapping\n12ff80-13f000 stack\n13f000-140000 thread-local storage\n"
            "140000-160000 mapping\n");
}

TEST(Roots, ADtvInMemoryOfTheLoaderIsThreadLocalStorage) {
  World w;
  w.map(0x100000, 0x110000);
  w.control_block(0x104000, {0x103000, 0x105000});
  w.thread(2, 0x103800, 0x104000);
  w.memory.write(0x104008, 0x108010);  // the dtv, behind the entry that counts: ids up to 3
  w.memory.write(0x108000, 3);
  EXPECT_EQ(w.roots(),
            "100000-103000 mapping\n103780-104000 stack\n104000-105000 thread-local storage\n"
            "105000-108000 mapping\n108000-108050 thread-local storage\n108050-110000 mapping\n");
  w.blocks = {{0x108000, 0x50}};  // a thread's, which pthread_create allocated
  EXPECT_NE(w.roots().find("thread-local storage"), std::string::npos);
  EXPECT_EQ(w.roots().find("108050 thread-local storage"), std::string::npos);
}

TEST(Roots, OnAnAlternateStackBothCount) {
  World w;
  w.map(0x100000, 0x110000);
  w.map(0x7ff000000000, 0x7ff000021000, "[stack]");
  w.segments = {{0x102000, 0x10a000}};
  w.thread(1, 0x104000);
  EXPECT_EQ(w.roots(),
            "100000-102000 mapping\n103f80-10a000 stack\n10a000-110000 mapping\n"
            "7ff000000000-7ff000021000 stack\n");
  w.interrupted_sp = [](const ThreadState&, AddressRange) { return 0x7ff000010000; };
  EXPECT_EQ(w.roots(),
            "100000-102000 mapping\n103f80-10a000 stack\n10a000-110000 mapping\n"
            "7ff00000ff80-7ff000021000 stack\n");
}

TEST(Roots, AStackInABlockCountsFromSpOn) {
  World w;
  w.map(0x55000000, 0x55010000, "[heap]");
  w.map(0x7ff000000000, 0x7ff000021000, "[stack]");
  w.blocks = {{0x55001000, 0x4000}, {0x55006000, 64}};
  w.thread(1, 0x55003000);
  EXPECT_EQ(w.roots(), "55002f80-55005000 stack\n7ff000000000-7ff000021000 stack\n");
  EXPECT_EQ(w.collect().excluded, (std::vector<AddressRange>{{0x55001000, 0x55002f80}}));
}

TEST(Roots, AllocatorMemoryIsNone) {
  World w;
  w.map(0x55000000, 0x55010000, "[heap]");
  w.map(0x7f0000000000, 0x7f0000400000);  // another allocator's
  w.map(0x7f0000500000, 0x7f0000600000);  // the program's
  w.blocks = {{0x55000010, 32}, {0x7f0000001000, 64}};
  EXPECT_EQ(w.roots(), "7f0000500000-7f0000600000 mapping\n");
  w.gaps = true;
  EXPECT_EQ(w.roots(),
            "55000000-55010000 mapping\n7f0000000000-7f0000400000 mapping\n"
            "7f0000500000-7f0000600000 mapping\n");
}

TEST(Roots, ASegmentOfTheProgramInAnAllocatorsMappingIsOne) {
  World w;
  w.map(0x7f0000000000, 0x7f0000400000);
  w.blocks = {{0x7f0000001000, 64}};
  w.segments = {{0x7f0000100000, 0x7f0000200000}};
  EXPECT_EQ(w.roots(), "7f0000100000-7f0000200000 mapping\n");
  // With a block in it, the segment is the allocator's.
  w.segments = {{0x7f0000000000, 0x7f0000200000}};
  EXPECT_EQ(w.roots(), "");
}

TEST(Roots, OurOwnMemoryIsNone) {
  World w;
  w.map(0x7f0000000000, 0x7f0000400000);
  w.own = {{0x7f0000100000, 0x7f0000300000}};
  EXPECT_EQ(w.roots(), "7f0000000000-7f0000100000 mapping\n7f0000300000-7f0000400000 mapping\n");
}

TEST(Roots, KernelPagesCodeAndReadOnlyFilesAreNone) {
  World w;
  w.map(0x400000, 0x401000, "/bin/app", "r-xp");
  w.map(0x401000, 0x402000, "/bin/app", "r--p");
  w.map(0x500000, 0x501000, "", "r-xp");
  w.map(0x600000, 0x601000, "", "---p");
  w.map(0x700000, 0x701000, "/dev/nvidia0", "rw-s");
  w.map(0x7fff00000000, 0x7fff00004000, "[vvar]", "r--p");
  w.map(0x7fff00004000, 0x7fff00006000, "[vdso]", "r-xp");
  EXPECT_EQ(w.roots(), "");
  const RootSet set = w.collect();
  EXPECT_EQ(set.regions.size(), 7u);
  EXPECT_EQ(set.vtable_ranges.size(), 2u);
  EXPECT_EQ(set.code_ranges, (std::vector<AddressRange>{{0x400000, 0x401000}}));
}

TEST(Roots, SharedMemoryIsOneButSharedFilesAreNot) {
  World w;
  w.map(0x500000, 0x501000, "/dev/zero (deleted)", "rw-s");
  w.map(0x600000, 0x601000, "/memfd:pool (deleted)", "rw-s");
  w.map(0x700000, 0x708000, "/data/index", "rw-s");
  EXPECT_EQ(w.roots(), "500000-501000 mapping\n600000-601000 mapping\n");
  EXPECT_EQ(w.collect().coverage.skipped_shared_bytes, 0x8000u);
  w.shared_files = true;
  EXPECT_EQ(w.roots(), "500000-501000 mapping\n600000-601000 mapping\n700000-708000 mapping\n");
}

TEST(Roots, DataOfAModuleWithoutAFileIsFoundByItsMappings) {
  World w;
  w.map(0x400000, 0x401000, "/bin/app", "r-xp");
  w.map(0x401000, 0x402000, "/bin/app", "rw-p");
  w.map(0x402000, 0x404000);  // .bss
  w.map(0x500000, 0x501000);
  Module app;
  app.path = "/bin/app";
  app.name = "app";
  app.range = {0x400000, 0x402000};
  w.modules = {app};
  EXPECT_EQ(w.roots(), "401000-402000 global\n402000-404000 global\n500000-501000 mapping\n");
}

TEST(Roots, EveryMappingHasARegionWithAReason) {
  World w;
  w.map(0x55000000, 0x55010000, "[heap]");
  w.map(0x7f0000000000, 0x7f0000400000);
  w.map(0x7ff000000000, 0x7ff000021000, "[stack]");
  w.blocks = {{0x55000010, 32}};
  w.thread(1, 0x7ff000010000);
  std::uint64_t bytes = 0;
  for (const Region& r : w.collect().regions) {
    EXPECT_FALSE(r.why.empty());
    bytes += r.range.size();
  }
  EXPECT_EQ(bytes, 0x10000u + 0x400000 + 0x21000);
}

}  // namespace
}  // namespace heapledger::test
