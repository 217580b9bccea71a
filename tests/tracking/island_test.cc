// SPDX-License-Identifier: Apache-2.0
#include "tracking/island.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace heapledger {
namespace {

using agent::Shape;
using Bytes = std::vector<std::uint8_t>;

Bytes part(const std::array<std::uint8_t, IslandItem::kSize>& item, std::size_t from,
           std::size_t size) {
  return {item.begin() + from, item.begin() + from + size};
}

TEST(IslandItem, HoldsStubHookSiteAndTrampolineAtTheirPlaces) {
  const Bytes trampoline = {0x53, 0xe9, 1, 2, 3, 4};
  const auto item = encode_item(
      {.shape = Shape::malloc_like,
       .hook = 0x1122334455667788,
       .site = {.original = 0x7001, .function = 0x7002, .kind = 1, .index = 9, .reserved = 0},
       .trampoline = trampoline});
  EXPECT_EQ(part(item, 0, 16), (Bytes{0x48, 0x8d, 0x35, 25, 0, 0, 0,  // lea 32(%rip),%rsi
                                      0xff, 0x25, 3, 0, 0, 0,         // jmp *16(%rip)
                                      0xcc, 0xcc, 0xcc}));
  EXPECT_EQ(part(item, 16, 8), (Bytes{0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11}));
  EXPECT_EQ(part(item, 32, 32),
            (Bytes{0x01, 0x70, 0, 0, 0, 0, 0, 0, 0x02, 0x70, 0, 0, 0, 0, 0, 0,
                   1,    0,    0, 0, 9, 0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(part(item, 64, 8), (Bytes{0x53, 0xe9, 1, 2, 3, 4, 0xcc, 0xcc}));
}

TEST(IslandItem, PassesTheSiteInTheRegisterOfItsShape) {
  const Bytes rsi = {0x48, 0x8d, 0x35}, rdx = {0x48, 0x8d, 0x15}, rcx = {0x48, 0x8d, 0x0d},
              r9 = {0x4c, 0x8d, 0x0d}, r11 = {0x4c, 0x8d, 0x1d};
  const std::map<Shape, Bytes> expected = {
      {Shape::malloc_like, rsi},  {Shape::calloc_like, rdx},  {Shape::realloc_like, rdx},
      {Shape::reallocarray, rcx}, {Shape::aligned_like, rdx}, {Shape::posix_memalign, rcx},
      {Shape::free_like, rcx},    {Shape::new_like, r11},     {Shape::delete_like, r11},
      {Shape::mmap, r11},         {Shape::munmap, rdx},       {Shape::mremap, r9},
      {Shape::shmat, rcx},        {Shape::shmdt, rsi}};
  for (const auto& [shape, bytes] : expected) {
    EXPECT_EQ(part(encode_item({.shape = shape}), 0, 3), bytes) << int(shape);
  }
}

}  // namespace
}  // namespace heapledger
