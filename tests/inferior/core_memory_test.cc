// SPDX-License-Identifier: Apache-2.0
#include "inferior/core_memory.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>

namespace heapledger {
namespace {

struct Segment {
  Address address;
  std::string bytes;        // what the file has
  std::uint64_t memory_size;
};

std::vector<std::byte> elf_image(std::uint16_t type, const std::vector<Segment>& segments) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = type;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof header;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<std::uint16_t>(segments.size());
  std::string file(reinterpret_cast<const char*>(&header), sizeof header);
  std::uint64_t offset = sizeof header + segments.size() * sizeof(Elf64_Phdr);
  for (const Segment& segment : segments) {
    Elf64_Phdr p{};
    p.p_type = PT_LOAD;
    p.p_offset = offset;
    p.p_vaddr = segment.address;
    p.p_filesz = segment.bytes.size();
    p.p_memsz = segment.memory_size;
    file.append(reinterpret_cast<const char*>(&p), sizeof p);
    offset += segment.bytes.size();
  }
  for (const Segment& segment : segments) file += segment.bytes;
  std::vector<std::byte> bytes(file.size());
  std::memcpy(bytes.data(), file.data(), file.size());
  return bytes;
}

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
