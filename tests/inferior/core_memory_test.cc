// SPDX-License-Identifier: Apache-2.0
#include "inferior/core_memory.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/inferior/elf_image.h"

namespace heapledger {
namespace {

using testing::elf_image;

std::shared_ptr<const ElfFile> open(std::vector<std::byte> bytes) {
  auto elf = ElfFile::from_bytes(std::move(bytes), "test");
  EXPECT_TRUE(elf.has_value());
  return elf.value_or(nullptr);
}

std::string read(const CoreMemory& memory, Address address, std::size_t size) {
  std::string text(size, '?');
  text.resize(memory.read_up_to(address, std::as_writable_bytes(std::span(text))));
  return text;
}

TEST(CoreMemory, ReadsSegmentsAcrossTheirBorders) {
  const CoreMemory memory(
      open(elf_image(ET_CORE, {{0x2000, "second", 6}, {0x1ffb, "first", 5}})), {});
  EXPECT_EQ(read(memory, 0x1ffb, 11), "firstsecond");
  EXPECT_EQ(read(memory, 0x2003, 100), "ond");
  EXPECT_EQ(read(memory, 0x1ffa, 4), "");
  EXPECT_EQ(read(memory, 0x2006, 4), "");
}

TEST(CoreMemory, TakesWhatWasNotDumpedFromTheModule) {
  const auto module = open(elf_image(ET_DYN, {{0x1000, "text of the file", 16}}));
  const CoreMemory memory(
      open(elf_image(ET_CORE, {{0x401000, "", 16}, {0x402000, "data", 4}})),
      {{{0x400000, 0x402000}, 0x400000, module}});
  EXPECT_EQ(read(memory, 0x401000, 7), "text of");
  EXPECT_EQ(read(memory, 0x402000, 4), "data");
}

TEST(CoreMemory, TheCoreComesBeforeTheModule) {
  const auto module = open(elf_image(ET_DYN, {{0x1000, "as linked", 9}}));
  const CoreMemory memory(open(elf_image(ET_CORE, {{0x401000, "at run", 6}})),
                          {{{0x400000, 0x402000}, 0x400000, module}});
  EXPECT_EQ(read(memory, 0x401000, 6), "at run");
}

}  // namespace
}  // namespace heapledger
