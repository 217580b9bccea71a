// SPDX-License-Identifier: Apache-2.0
#include "inferior/free_gap.h"

#include <gtest/gtest.h>

#include <string>

namespace heapledger {
namespace {

Mappings maps(const std::string& text) {
  auto parsed = parse_mappings(text);
  EXPECT_TRUE(parsed.has_value());
  return parsed.value_or(Mappings{});
}

// A program at a fixed address, with its heap behind it.
const char* const kFixed =
    "00400000-00401000 r--p 00000000 fe:00 100 /bin/app\n"
    "00401000-004db000 r-xp 00001000 fe:00 100 /bin/app\n"
    "004db000-004e1000 rw-p 00000000 00:00 0 \n"
    "004e1000-00503000 rw-p 00000000 00:00 0 [heap]\n"
    "7ffff7ff9000-7ffff7ffd000 r--p 00000000 00:00 0 [vvar]\n"
    "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n";

constexpr AddressRange kProgram{0x400000, 0x4db000};

TEST(FreeGap, IsBelowAProgramAtAFixedAddress) {
  const auto places = free_gaps_near(maps(kFixed), 0x4000, kProgram);
  ASSERT_FALSE(places.empty());
  EXPECT_EQ(places[0], 0x3fb000u);  // one free page before the program
}

TEST(FreeGap, BehindTheHeapComesLastAndAsFarUpAsReachable) {
  const auto places = free_gaps_near(maps(kFixed), 0x4000, kProgram);
  ASSERT_EQ(places.size(), 2u);
  EXPECT_GT(places[1], 0x80000000u);
  EXPECT_LE(places[1] + 0x4000, 0x80400000u);
}

TEST(FreeGap, IsNotBehindTheProgramAsLongAsThereIsNoHeap) {
  std::string text = kFixed;
  text.erase(text.find("004e1000-"), text.find("7ffff7ff9000") - text.find("004e1000-"));
  const auto places = free_gaps_near(maps(text), 0x4000, kProgram);
  ASSERT_EQ(places.size(), 2u);
  EXPECT_EQ(places[0], 0x3fb000u);
  EXPECT_GT(places[1], 0x80000000u);
}

TEST(FreeGap, WhatDoesNotFitBelowGoesFarUp) {
  const auto places = free_gaps_near(maps(kFixed), 0x500000, kProgram);
  ASSERT_EQ(places.size(), 1u);
  EXPECT_GT(places[0], 0x7f000000u);
}

TEST(FreeGap, BesideALibraryInAnAddressSpaceFullOfMappings) {
  const Mappings mappings = maps(
      "555555554000-555555556000 r-xp 00000000 fe:00 100 /bin/app\n"
      "7ff000000000-7ffff7dd3000 rw-p 00000000 00:00 0 \n"
      "7ffff7dd3000-7ffff7f4f000 r-xp 00000000 fe:00 200 /lib/libc.so.6\n"
      "7ffff7f60000-7ffff7fa8000 rw-p 00000000 fe:00 200 /lib/libc.so.6\n"
      "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n");
  const auto places = free_gaps_near(mappings, 0x4000, {0x7ffff7dd3000, 0x7ffff7fa8000});
  ASSERT_EQ(places.size(), 2u);
  EXPECT_EQ(places[0], 0x7ffff7f50000u);  // between its segments
  EXPECT_EQ(places[1], 0x7ffff7fa9000u);  // towards the stack
}

TEST(FreeGap, LeavesTheStackRoomToGrow) {
  const Mappings mappings = maps(
      "7ffff0000000-7ffffa000000 r-xp 00000000 fe:00 200 /lib/libc.so.6\n"
      "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n");
  for (const Address place : free_gaps_near(mappings, 0x4000, {0x7ffff0000000, 0x7ffffa000000})) {
    EXPECT_TRUE(place + 0x4000 <= 0x7ffffbfde000 || place >= 0x7ffffffff000) << std::hex << place;
  }
}

TEST(FreeGap, NothingWhenEverythingInReachIsTaken) {
  const Mappings mappings = maps(
      "100000000000-100100000000 rw-p 00000000 00:00 0 \n"
      "100100000000-100100100000 r-xp 00000000 fe:00 200 /lib/a.so\n"
      "100100100000-100200000000 rw-p 00000000 00:00 0 \n");
  EXPECT_TRUE(free_gaps_near(mappings, 0x1000, {0x100100000000, 0x100100100000}).empty());
}

TEST(FreeGap, ReachIsMeasuredFromEndToEnd) {
  EXPECT_TRUE(within_reach({0x10000, 0x11000}, {0x400000, 0x500000}));
  EXPECT_TRUE(within_reach({0x7ffff000, 0x7ffffff0}, {0x0, 0x1000}));
  EXPECT_FALSE(within_reach({0x7ffff000, 0x80000000}, {0x0, 0x1000}));
  EXPECT_FALSE(within_reach({0x200000000, 0x200001000}, {0x400000, 0x500000}));
}

}  // namespace
}  // namespace heapledger
