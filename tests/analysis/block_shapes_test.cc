// SPDX-License-Identifier: Apache-2.0
#include "analysis/block_shapes.h"

#include <gtest/gtest.h>

#include "analysis/outstanding.h"
#include "tests/report/fake_target.h"

namespace heapledger {
namespace {

using testing::FakeTarget;

constexpr Address kHeap = 0x555555560000;
constexpr Address kData = 0x555555558000;  // of /usr/bin/app
constexpr Address kCode = 0x555555554000;

class BlockShapesTest : public ::testing::Test {
 protected:
  BlockShapesTest() {
    target.mappings_ = {
        {.range = {kCode, kCode + 0x1000}, .readable = true, .executable = true, .inode = 1},
        {.range = {kData, kData + 0x1000}, .readable = true, .inode = 1},
        {.range = {kHeap, kHeap + 0x1000}, .readable = true, .writable = true}};
    for (const Mapping& m : target.mappings_) target.memory_.segments[m.range.begin].resize(0x1000);
    put(kData + 0x10, kCode + 0x100);  // two functions: a vtable
    put(kData + 0x18, kCode + 0x200);
  }
  void put(Address place, std::uint64_t value) {
    std::memcpy(target.memory_.segments[place & ~Address{0xfff}].data() + (place & 0xfff), &value, 8);
  }
  void put(Address place, std::string_view text) {
    std::memcpy(target.memory_.segments[place & ~Address{0xfff}].data() + (place & 0xfff), text.data(),
                text.size());
  }
  // The shapes of blocks at the heap's begin, one behind the other, a line each.
  std::string shapes(std::vector<std::uint64_t> sizes) {
    std::vector<Block> blocks;
    Address at = kHeap;
    for (std::uint64_t size : sizes) {
      blocks.push_back({at, size});
      at += size + 8;
    }
    ledger = {};
    ledger.join_heap(blocks, false);
    found = BlockShapes(target, target.mappings_, ledger);
    std::string text;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      text += shape_words(found.shape(found.id_of(i))) + "\n";
    }
    return text;
  }

  FakeTarget target;
  Ledger ledger;
  BlockShapes found;
};

TEST_F(BlockShapesTest, SmallSizesAreOneClassEachLargeOnesPowersOfTwo) {
  EXPECT_EQ(shapes({24, 40, 1016, 1032, 2040, 4000}),
            "24 usable bytes\n"
            "40 usable bytes\n"
            "1016 usable bytes\n"
            "1024 to 2047 usable bytes\n"
            "1024 to 2047 usable bytes\n"
            "2048 to 4095 usable bytes\n");
  EXPECT_EQ(found.count(), 5u);
}

TEST_F(BlockShapesTest, AVtablePointerMakesAnObject) {
  put(kHeap, kData + 0x10);
  put(kHeap + 32, kData + 0x20);        // no functions there
  put(kHeap + 64, kHeap + 8);           // no file there
  EXPECT_EQ(shapes({24, 24, 24}),
            "24 usable bytes, object of a class with the vtable 0x555555558010\n"
            "24 usable bytes\n"
            "24 usable bytes\n");
}

TEST_F(BlockShapesTest, TextUpToAZero) {
  put(kHeap, "/etc/passwd");
  put(kHeap + 48, "abc");               // too short to say
  put(kHeap + 96, "ab\x01" "defgh");
  EXPECT_EQ(shapes({40, 40, 40}),
            "40 usable bytes, text\n"
            "40 usable bytes\n"
            "40 usable bytes\n");
}

// A process may have more types than a shape's number has room for: the rest is told by size alone.
TEST_F(BlockShapesTest, ObjectsOfTooManyTypesAreToldBySizeAlone) {
  constexpr std::size_t kTypes = 60'500;
  constexpr Address kTables = 0x555557000000;
  std::vector<std::byte>& tables = target.memory_.segments[kTables];
  std::vector<std::byte>& heap = target.memory_.segments[kHeap];
  tables.resize((kTypes + 1) * 8);
  heap.resize(kTypes * 32);
  const Address function = kCode + 0x100;
  for (std::size_t i = 0; i <= kTypes; ++i) std::memcpy(&tables[i * 8], &function, 8);
  for (std::size_t i = 0; i < kTypes; ++i) {
    const Address vtable = kTables + i * 8;
    std::memcpy(&heap[i * 32], &vtable, 8);
  }
  target.mappings_[2].range.end = kHeap + heap.size();
  target.mappings_.push_back(
      {.range = {kTables, kTables + tables.size()}, .readable = true, .inode = 1});
  const std::string text = shapes(std::vector<std::uint64_t>(kTypes, 24));
  EXPECT_EQ(found.count(), 60'001u);
  EXPECT_EQ(text.substr(text.rfind("24")), "24 usable bytes\n");
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "24 usable bytes, object of a class with the vtable 0x555557000000");
}

TEST_F(BlockShapesTest, GroupsAreMadeByShape) {
  put(kHeap + 32, "some text");
  shapes({24, 24, 24, 40});
  const OutstandingFilter listed{.list = true};
  const auto groups = group_by_stack(ledger, listed, OutstandingOrder::count, found);
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].count, 2u);
  EXPECT_EQ(groups[0].bytes, 48u);
  ASSERT_TRUE(groups[0].shape);
  EXPECT_EQ(shape_words(found.shape(*groups[0].shape)), "24 usable bytes");
  EXPECT_EQ(ledger.allocation(groups[2].allocations[0]).block.start, kHeap + 32);
}

}  // namespace
}  // namespace heapledger
