// SPDX-License-Identifier: Apache-2.0
//
// What the agent's image must be, whatever the compiler made of its source: one read-only executable
// segment, nothing to relocate, nothing to link.
#include <elf.h>
#include <gtest/gtest.h>

#include "tracking/agent_image.h"

namespace heapledger {
namespace {

const ElfFile& image() { return AgentImage::embedded().elf(); }

TEST(AgentImage, IsOneReadOnlyExecutableSegment) {
  int loaded = 0;
  for (const ElfSegment& s : image().segments()) {
    if (s.type != PT_LOAD) continue;
    ++loaded;
    EXPECT_EQ(s.flags, std::uint32_t(PF_R | PF_X));
    EXPECT_EQ(s.file_size, s.memory_size);
    EXPECT_LE(s.file_size, 32u * 1024);
  }
  EXPECT_EQ(loaded, 1);
}

TEST(AgentImage, HasNoRelocationsAndNoWritableData) {
  for (const ElfSection& s : image().sections()) {
    EXPECT_FALSE((s.type == SHT_REL || s.type == SHT_RELA) && s.size != 0) << s.name;
    EXPECT_NE(s.name, ".forbidden");
    EXPECT_FALSE(s.name == ".got" && s.size != 0);
    EXPECT_FALSE(s.name.starts_with(".debug")) << "`step` would enter hooks";
  }
}

TEST(AgentImage, ExportsAndImportsNothing) {
  const ElfSection* symbols = image().section(".dynsym");
  ASSERT_NE(symbols, nullptr);
  EXPECT_EQ(symbols->size, sizeof(Elf64_Sym));  // the null symbol
}

TEST(AgentImage, HasAHookForEveryShape) {
#define X(symbol, kind, shape) EXPECT_NE(AgentImage::embedded().hook(agent::Shape::shape), 0u) << symbol;
  HEAPLEDGER_ENTRY_POINTS(X)
#undef X
}

TEST(AgentImage, IsPlacedWithItsAddresses) {
  const auto bytes = AgentImage::embedded().place(0x10000, 0x20000, 0x21000);
  agent::Header header;
  std::memcpy(&header, bytes.data() + AgentImage::embedded().header_offset(), sizeof header);
  EXPECT_EQ(header.control, 0x20000u);
  EXPECT_EQ(header.state, 0x21000u);
  EXPECT_EQ(header.image_begin, 0x10000u);
  EXPECT_EQ(header.image_end, 0x10000u + bytes.size());
}

}  // namespace
}  // namespace heapledger
