// SPDX-License-Identifier: Apache-2.0
//
// Damaged heaps: the walk names the place, loses little around it, and always ends.
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "tests/heap/heap_child.h"

namespace heapledger {
namespace {

// 200 blocks of 100 bytes (chunks of 112) in a row, made in a child and damaged from here.
class GlibcDamage : public testing::Test {
 protected:
  GlibcDamage()
      : log(Log::create()),
        child(Child::forked([this] {
          char* row[200] = {};  // recycled chunks come first: until 200 follow each other
          for (int length = 0; length < 200;) {
            auto* block = static_cast<char*>(std::memset(std::malloc(100), 0x55, 100));
            length = length > 0 && block == row[length - 1] + 112 ? length : 0;
            row[length++] = block;
          }
          for (char* block : row) log.keep(block, 100);
        })),
        memory(child.pid()),
        blocks(log.live()) {}
  ~GlibcDamage() override { Log::destroy(log); }

  void write(Address address, std::uint64_t value) {
    EXPECT_TRUE(memory.write(address, std::as_bytes(std::span(&value, 1))));
  }
  std::size_t found_of(const HeapWalk& walk) const {
    return static_cast<std::size_t>(
        std::count_if(blocks.begin(), blocks.end(),
                      [&](const Block& block) { return holds(walk.used, block.start); }));
  }

  Log& log;
  Child child;
  LocalMemory memory;
  std::vector<Block> blocks;
};

TEST_F(GlibcDamage, NoneIsComplete) {
  const HeapWalk walk = walk_of(child);
  EXPECT_TRUE(walk.complete()) << text_of(walk);
  EXPECT_EQ(found_of(walk), 200u);
  EXPECT_TRUE(walk.unknown.empty());
}

TEST_F(GlibcDamage, NonsenseSizeLosesOneBlock) {
  for (const std::uint64_t size :
       {0x4141414141414141ull, 0ull, 0x79ull, 0x72ull, 0xffffffffffffffffull}) {
    const Address chunk = blocks[100].start - 16;
    write(chunk + 8, size);
    const HeapWalk walk = walk_of(child);
    EXPECT_EQ(found_of(walk), 199u) << size;
    ASSERT_EQ(walk.messages.size(), 1u) << text_of(walk);
    EXPECT_NE(walk.messages[0].find(fmt::format("main arena: chunk {:#x} is damaged", chunk)),
              std::string::npos)
        << walk.messages[0];
    ASSERT_EQ(walk.unknown.size(), 1u);
    EXPECT_EQ(walk.unknown[0], (AddressRange{chunk, chunk + 112}));
  }
}

TEST_F(GlibcDamage, PlausibleButWrongSizeLosesOneBlock) {
  for (const std::uint64_t size : {97ull, 81ull, 33ull, 129ull, 145ull}) {
    write(blocks[100].start - 8, size);
    const HeapWalk walk = walk_of(child);
    EXPECT_FALSE(walk.complete());
    EXPECT_GE(found_of(walk), 198u) << size << text_of(walk);
    EXPECT_NE(text_of(walk).find(fmt::format("{:#x}", blocks[100].start - 16)), std::string::npos)
        << text_of(walk);
  }
}

TEST_F(GlibcDamage, ClearedInUseFlagIsSeenByTheFooter) {
  write(blocks[100].start - 8, 112);  // says that block 99 is free
  const HeapWalk walk = walk_of(child);
  EXPECT_FALSE(walk.complete());
  EXPECT_GE(found_of(walk), 199u);
}

TEST_F(GlibcDamage, ManyBreaksAreBounded) {
  for (const Block& block : blocks) {
    write(block.start - 8, 0x1234567);
  }
  const HeapWalk walk = walk_of(child);
  EXPECT_EQ(found_of(walk), 0u);
  EXPECT_FALSE(walk.complete());
}

TEST_F(GlibcDamage, FreeListThatBreaksIsTold) {
  Log& own = Log::create();
  const Child other = Child::forked([&] {
    void* a = own.keep(std::malloc(900), 900);
    void* b = own.keep(std::malloc(900), 900);
    own.release(a);
    own.release(b);
    own.note(~reinterpret_cast<Address>(b));
  });
  const LocalMemory bytes(other.pid());
  const Address head = ~own.noted(0);  // the one freed last has the link
  const std::uint64_t garbage = 0x4242424242424242;
  ASSERT_TRUE(bytes.write(head, std::as_bytes(std::span(&garbage, 1))));
  const HeapWalk walk = walk_of(other);
  // In the bin of 912 bytes, or of 928 where 16 remained; the address is the garbage, decoded.
  EXPECT_NE(text_of(walk).find(fmt::format("the list breaks at {:#x}", garbage ^ head >> 12)),
            std::string::npos)
      << text_of(walk);
  EXPECT_NE(text_of(walk).find("1 found"), std::string::npos) << text_of(walk);
  Log::destroy(own);
}

TEST_F(GlibcDamage, CircularFreeListEnds) {
  Log& own = Log::create();
  const Child other = Child::forked([&] { own.release(own.keep(std::malloc(900), 900)); });
  const LocalMemory bytes(other.pid());
  const Address head = own.freed()[0].start;
  const std::uint64_t itself = head ^ head >> 12;  // safe-linking
  ASSERT_TRUE(bytes.write(head, std::as_bytes(std::span(&itself, 1))));
  const HeapWalk walk = walk_of(other);
  EXPECT_NE(text_of(walk).find("1 found, 1 counted, the list breaks"), std::string::npos)
      << text_of(walk);
  Log::destroy(own);
}

// Random words over arenas, caches and chunks: bounded time, no crash, and never silence about
// a loss of blocks.
TEST_F(GlibcDamage, RandomDamageIsSurvived) {
  const auto mappings = read_mappings(child.pid());
  const auto modules = ModuleList::read(child.pid(), *mappings, memory);
  const auto glibc = find_glibc(*modules);
  ASSERT_TRUE(glibc);
  const HeapWalk sound = walk_of(child);
  std::vector<AddressRange> targets{{glibc->main_arena, glibc->main_arena + 0x898},
                                    {blocks[0].start, blocks[199].start}};
  for (const Block& block : sound.internal) {
    targets.push_back(block.range());
  }
  const auto begin = std::chrono::steady_clock::now();
  std::mt19937_64 random(7);
  for (int round = 0; round < 150; ++round) {
    const AddressRange& target = targets[random() % targets.size()];
    const Address at = target.begin + random() % (target.size() / 8 - 1) * 8;
    const auto saved = memory.read_value<std::uint64_t>(at);
    const std::uint64_t values[] = {random(), random() % 4096, blocks[random() % 200].start - 16,
                                    target.begin, ~0ull};
    write(at, values[random() % 5]);
    walk_of(child);
    write(at, *saved);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
  EXPECT_EQ(walk_of(child).used, sound.used);
}

}  // namespace
}  // namespace heapledger
