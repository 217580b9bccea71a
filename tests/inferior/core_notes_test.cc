// SPDX-License-Identifier: Apache-2.0
//
// Cores written here by hand: what the kernel and gcore do differently is in them.
#include "inferior/core_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/inferior/elf_image.h"

namespace heapledger {
namespace {

constexpr Address kText = 0x400000;
constexpr Address kData = 0x500000;
constexpr Address kHeap = 0x600000;
constexpr Address kVvar = 0x700000;
constexpr Address kVdso = 0x701000;
constexpr Address kStack = 0x800000;

class CoreFileByHand : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  template <typename T>
  static void append(std::string& out, const T& value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void segment(Address begin, std::uint64_t size, std::uint32_t flags, std::uint64_t in_file) {
    segments_.push_back({begin, std::string(in_file, 'x'), size, flags});
  }
  void note(std::uint32_t type, const std::string& contents) {
    append(notes_, Elf64_Nhdr{5, std::uint32_t(contents.size()), type});
    notes_.append("CORE\0\0\0\0", 8);
    notes_ += contents;
    notes_.resize((notes_.size() + 3) / 4 * 4);
  }
  void files(std::vector<std::tuple<Address, Address, std::uint64_t, std::string>> files) {
    std::string contents, names;
    append(contents, std::uint64_t(files.size()));
    append(contents, std::uint64_t(4096));
    for (const auto& [begin, end, page, name] : files) {
      append(contents, begin);
      append(contents, end);
      append(contents, page);
      names += name + '\0';
    }
    note(NT_FILE, contents + names);
  }
  Result<CoreFile> open(std::uint64_t cut = 0) {
    std::vector<testing::Segment> all{{0, notes_, 0, 0, PT_NOTE}};
    all.insert(all.end(), segments_.begin(), segments_.end());
    const std::vector<std::byte> file = testing::elf_image(type_, all);
    path_ = std::filesystem::temp_directory_path() / "heapledger_core_notes_test";
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(file.data()), std::streamsize(file.size() - cut));
    return read_core_file(path_);
  }
  // "400000-401000 r-xp name" a line, as in /proc/PID/maps.
  static std::string text(const CoreFile& core) {
    std::string out;
    for (const Mapping& m : core.mappings) {
      out += fmt::format("{:x}-{:x} {}{}{}{} {:x} {}\n", m.range.begin, m.range.end,
                         m.readable ? 'r' : '-', m.writable ? 'w' : '-', m.executable ? 'x' : '-',
                         m.shared ? 's' : 'p', m.file_offset, m.name);
    }
    return out;
  }

  std::uint16_t type_ = ET_CORE;
  std::vector<testing::Segment> segments_;
  std::string notes_;
  std::filesystem::path path_;
};

TEST_F(CoreFileByHand, NamesComeFromTheNotes) {
  segment(kText, 0x2000, PF_R | PF_X, 0);
  segment(kData, 0x1000, PF_R | PF_W, 0x1000);
  segment(kHeap, 0x2000, PF_R | PF_W, 0x2000);
  segment(kVvar, 0x1000, PF_R, 0);
  segment(kVdso, 0x1000, PF_R | PF_X, 0x1000);
  segment(kStack, 0x1000, PF_R | PF_W, 0x1000);
  files({{kText, kText + 0x2000, 1, "/usr/bin/app"}, {kData, kData + 0x1000, 3, "/usr/bin/app"}});
  std::string auxiliary;
  append(auxiliary, Elf64_auxv_t{AT_SYSINFO_EHDR, {kVdso}});
  append(auxiliary, Elf64_auxv_t{AT_RANDOM, {kStack + 0x800}});
  append(auxiliary, Elf64_auxv_t{AT_NULL, {0}});
  note(NT_AUXV, auxiliary);
  const auto core = open();
  ASSERT_TRUE(core) << core.error().message;
  EXPECT_EQ(text(*core),
            "400000-402000 r-xp 1000 /usr/bin/app\n"
            "500000-501000 rw-p 3000 /usr/bin/app\n"
            "600000-602000 rw-p 0 \n"
            "700000-701000 r--p 0 [vvar]\n"
            "701000-702000 r-xp 0 [vdso]\n"
            "800000-801000 rw-p 0 [stack]\n");
  EXPECT_EQ(core->mappings[0].inode, core->mappings[1].inode);
  EXPECT_FALSE(core->mappings[2].is_file());
  EXPECT_EQ(core->bytes_cut_off, 0u);
}

TEST_F(CoreFileByHand, FilesThatGcoreDoesNotListAreMappedAllTheSame) {
  segment(kData, 0x1000, PF_R | PF_W, 0x1000);
  files({{kText, kText + 0x2000, 0, "/usr/bin/app"}, {kData, kData + 0x1000, 2, "/usr/bin/app"}});
  const auto core = open();
  ASSERT_TRUE(core) << core.error().message;
  EXPECT_EQ(text(*core),
            "400000-402000 r-xp 0 /usr/bin/app\n"
            "500000-501000 rw-p 2000 /usr/bin/app\n");
}

TEST_F(CoreFileByHand, MemoryOtherProcessesMayWriteIsShared) {
  segment(kData, 0x1000, PF_R | PF_W, 0x1000);
  segment(kHeap, 0x1000, PF_R | PF_W, 0);
  files({{kData, kData + 0x1000, 0, "/dev/shm/x"}, {kHeap, kHeap + 0x1000, 0, "/var/cache/db"}});
  const auto core = open();
  ASSERT_TRUE(core) << core.error().message;
  EXPECT_EQ(text(*core),
            "500000-501000 rw-s 0 /dev/shm/x\n"
            "600000-601000 rw-s 0 /var/cache/db\n");
}

TEST_F(CoreFileByHand, WhatWasCutOffIsCounted) {
  segment(kData, 0x1000, PF_R | PF_W, 0x1000);
  segment(kHeap, 0x2000, PF_R | PF_W, 0x2000);
  const auto core = open(0x2800);
  ASSERT_TRUE(core) << core.error().message;
  EXPECT_EQ(core->bytes_cut_off, 0x2800u);
  char byte = 0;
  const auto read = [&](Address at) {
    return memory_of(*core)->read_up_to(at, std::as_writable_bytes(std::span(&byte, 1)));
  };
  EXPECT_EQ(read(kData + 0x7ff), 1u);
  EXPECT_EQ(read(kData + 0x800), 0u);
  EXPECT_EQ(read(kHeap), 0u);
}

TEST_F(CoreFileByHand, MappingsAreDisjointWhateverItSays) {
  segment(kData, 0x2000, PF_R | PF_W, 0x1000);
  segment(kData + 0x1000, 0x2000, PF_R, 0x1000);
  segment(UINT64_MAX - 0xfff, 0x2000, PF_R, 0x1000);
  files({{kText, kText + 0x2000, 0, "/a"}, {kText + 0x1000, kText + 0x3000, 0, "/b"}});
  const auto core = open();
  ASSERT_TRUE(core) << core.error().message;
  EXPECT_EQ(text(*core), "400000-402000 r-xp 0 /a\n500000-502000 rw-p 0 \n");
}

TEST_F(CoreFileByHand, ABodyThatIsShownTwiceIsRefused) {
  segment(kData, 0x1000, PF_R | PF_W, 0x1000);
  segment(kHeap, 0x1000, PF_R | PF_W, 0x1000);
  std::vector<std::byte> file = testing::elf_image(ET_CORE, segments_);
  Elf64_Phdr second;
  std::byte* const header = file.data() + sizeof(Elf64_Ehdr) + sizeof second;
  std::memcpy(&second, header, sizeof second);
  second.p_offset -= 0x1000;
  second.p_filesz = 0x2000;
  std::memcpy(header, &second, sizeof second);
  path_ = std::filesystem::temp_directory_path() / "heapledger_core_twice_test";
  std::ofstream(path_, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), std::streamsize(file.size()));
  const auto core = read_core_file(path_);
  ASSERT_FALSE(core);
  EXPECT_NE(core.error().message.find("its segments overlap"), std::string::npos);
}

TEST_F(CoreFileByHand, TerabytesWithoutContentsAreNotLookedFor) {
  segment(kData, 0x1000, PF_R | PF_W, 0x1000);
  segment(kHeap, std::uint64_t{1} << 30, PF_R | PF_W, 0);
  segment(kHeap << 20, std::uint64_t{1} << 45, PF_R | PF_W, 0);
  const auto core = open();
  ASSERT_TRUE(core) << core.error().message;
  EXPECT_EQ(text(*core),
            "500000-501000 rw-p 0 \n600000-40600000 rw-p 0 \n60000000000-260000000000 -w-p 0 \n");
  EXPECT_EQ(missing_evidence(*core),
            "the core file lists 35184372088832 bytes of memory without their contents");
}

TEST_F(CoreFileByHand, OtherFilesAreRefused) {
  type_ = ET_EXEC;
  EXPECT_FALSE(open());
  EXPECT_FALSE(read_core_file("/nonexistent/core"));
}

TEST_F(CoreFileByHand, DamagedNotesNameNothing) {
  segment(kData, 0x1000, PF_R | PF_W, 0x1000);
  std::string contents;
  append(contents, std::uint64_t(1) << 60);
  append(contents, std::uint64_t(4096));
  note(NT_FILE, contents);
  notes_ += std::string("\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0", 12);
  const auto core = open();
  ASSERT_TRUE(core) << core.error().message;
  EXPECT_EQ(text(*core), "500000-501000 rw-p 0 \n");
}

}  // namespace
}  // namespace heapledger
