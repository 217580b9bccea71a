// SPDX-License-Identifier: Apache-2.0
#include "tracking/code_map.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/inferior/elf_image.h"

namespace heapledger {
namespace {

// A module of its own each, at one place, one after the other.
Module module_number(int number) {
  auto elf = ElfFile::from_bytes(testing::elf_image(ET_DYN, {{0x1000, "code", 4, PF_R | PF_X}}),
                                 std::to_string(number));
  EXPECT_TRUE(elf);
  return {.path = std::to_string(number), .name = std::to_string(number), .elf = *elf, .bias = 0x10000,
          .range = {0x10000, 0x12000}, .code = {0x11000, 0x12000}};
}

TEST(CodeMap, KnowsWhatWasUnloadedByItsIncarnation) {
  CodeMap map;
  map.update({module_number(0)});
  map.update({module_number(1)});
  EXPECT_EQ(map.find(0x11000, 0)->path, "0");
  EXPECT_FALSE(map.find(0x11000, 0)->loaded);
  EXPECT_NE(map.find(0x11000, 0)->elf, nullptr);
  EXPECT_EQ(map.loaded_at(0x11000)->path, "1");
}

TEST(CodeMap, OfAProgramThatLoadsFilesForEverOnlyTheNewestStayOpen) {
  CodeMap map;
  std::vector<std::weak_ptr<const ElfFile>> files;
  for (int i = 0; i < 3000; ++i) {
    const Module module = module_number(i);
    files.push_back(module.elf);
    map.update({module});
  }
  const auto open = std::count_if(files.begin(), files.end(), [](const auto& file) { return !file.expired(); });
  EXPECT_LE(open, 2100);  // a thousand of the map's, a thousand whose rules were compiled
  EXPECT_GE(open, 1000);
  EXPECT_FALSE(files.back().expired());
  EXPECT_EQ(map.find(0x11000, 0)->path, "0");  // its name is known all the same
}

}  // namespace
}  // namespace heapledger
