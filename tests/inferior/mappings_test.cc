// SPDX-License-Identifier: Apache-2.0
#include "inferior/mappings.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace heapledger {
namespace {

TEST(Mappings, ParsesFileLine) {
  const auto m = parse_mappings(
      "7f0c1000-7f0c3000 r-xp 00002000 fe:1a 1234567                    /usr/lib/libc.so.6\n");
  ASSERT_TRUE(m) << m.error().message;
  ASSERT_EQ(m->size(), 1u);
  const Mapping& first = m->front();
  EXPECT_EQ(first.range, (AddressRange{0x7f0c1000, 0x7f0c3000}));
  EXPECT_TRUE(first.readable);
  EXPECT_FALSE(first.writable);
  EXPECT_TRUE(first.executable);
  EXPECT_FALSE(first.shared);
  EXPECT_EQ(first.file_offset, 0x2000u);
  EXPECT_EQ(first.device, 0xfe0000001aull);
  EXPECT_EQ(first.inode, 1234567u);
  EXPECT_EQ(first.name, "/usr/lib/libc.so.6");
  EXPECT_TRUE(first.is_file());
}

TEST(Mappings, ParsesAnonymousLineWithAndWithoutTrailingBlank) {
  const auto m = parse_mappings(
      "1000-2000 rw-p 00000000 00:00 0 \n"
      "2000-3000 ---s 00000000 00:00 0");
  ASSERT_TRUE(m) << m.error().message;
  ASSERT_EQ(m->size(), 2u);
  EXPECT_EQ((*m)[0].name, "");
  EXPECT_FALSE((*m)[0].is_file());
  EXPECT_TRUE((*m)[0].writable);
  EXPECT_TRUE((*m)[1].shared);
  EXPECT_FALSE((*m)[1].readable);
}

TEST(Mappings, KeepsBlanksAndDeletedInNames) {
  const auto m = parse_mappings(
      "1000-2000 r--p 00000000 08:01 7      /tmp/my  lib (1).so (deleted)\n"
      "2000-3000 rw-p 00000000 00:00 0      [anon:.bss of it]\n"
      "3000-4000 rw-s 00000000 00:01 2065   /memfd:a b (deleted)\n"
      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]\n");
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ((*m)[0].name, "/tmp/my  lib (1).so (deleted)");
  EXPECT_EQ((*m)[1].name, "[anon:.bss of it]");
  EXPECT_EQ((*m)[2].name, "/memfd:a b (deleted)");
  EXPECT_EQ((*m)[3].range.end, 0xffffffffff601000u);
}

TEST(Mappings, EmptyTextHasNoMappings) {
  const auto m = parse_mappings("");
  ASSERT_TRUE(m);
  EXPECT_TRUE(m->empty());
}

TEST(Mappings, BadLinesAreErrorsThatQuoteTheLine) {
  for (const std::string line : {
           "",
           "hello",
           "1000 2000 r--p 00000000 00:00 0",
           "1000-2000 r--q 00000000 00:00 0",
           "1000-2000 rw",
           "1000-2000 rw-p 00000000 00-00 0",
           "1000-2000 rw-p 00000000 00:00",
           "1000-2000 rw-p 00000000 00:00 0x /a",
           "2000-1000 rw-p 00000000 00:00 0",
           "1000-1000 rw-p 00000000 00:00 0",
           "11112222333344445-11112222333344446 rw-p 00000000 00:00 0",
       }) {
    const auto m = parse_mappings(line + "\n");
    ASSERT_FALSE(m) << line;
    EXPECT_NE(m.error().message.find("\"" + line + "\""), std::string::npos) << m.error().message;
  }
}

TEST(Mappings, OverlapIsAnError) {
  const auto m = parse_mappings(
      "1000-3000 rw-p 00000000 00:00 0\n"
      "2000-4000 rw-p 00000000 00:00 0\n");
  ASSERT_FALSE(m);
  EXPECT_NE(m.error().message.find("2000-4000"), std::string::npos);
}

TEST(Mappings, FindsTheMappingOfAnAddress) {
  const auto m = parse_mappings(
      "1000-2000 rw-p 00000000 00:00 0\n"
      "3000-4000 rw-p 00000000 00:00 0\n");
  ASSERT_TRUE(m);
  EXPECT_EQ(find_mapping(*m, 0xfff), nullptr);
  EXPECT_EQ(find_mapping(*m, 0x1000), &(*m)[0]);
  EXPECT_EQ(find_mapping(*m, 0x1fff), &(*m)[0]);
  EXPECT_EQ(find_mapping(*m, 0x2000), nullptr);
  EXPECT_EQ(find_mapping(*m, 0x3fff), &(*m)[1]);
  EXPECT_EQ(find_mapping(*m, ~0ull), nullptr);
  EXPECT_EQ(find_mapping({}, 0), nullptr);
}

TEST(Mappings, ReadsOwnProcess) {
  void* page = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const auto m = read_mappings(static_cast<std::uint64_t>(getpid()));
  ASSERT_TRUE(m) << m.error().message;
  const Mapping* found = find_mapping(*m, reinterpret_cast<Address>(page));
  ASSERT_NE(found, nullptr);
  EXPECT_TRUE(found->readable);
  EXPECT_FALSE(found->writable);
  munmap(page, 4096);
}

TEST(Mappings, NoSuchProcessIsAnErrorThatNamesIt) {
  const auto m = read_mappings(0x3fffffff);
  ASSERT_FALSE(m);
  EXPECT_NE(m.error().message.find("/proc/1073741823/maps"), std::string::npos);
}

}  // namespace
}  // namespace heapledger
