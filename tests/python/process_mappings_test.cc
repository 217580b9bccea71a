// SPDX-License-Identifier: Apache-2.0
#include "python/process_mappings.h"

#include <gtest/gtest.h>

namespace heapledger {
namespace {

// As gdb 13 prints it for a process behind gdbserver.
constexpr const char* kText = R"(process 4711
Mapped address spaces:

          Start Addr           End Addr       Size     Offset  Perms  objfile
      0x555555554000     0x555555555000     0x1000        0x0  r--p   /usr/bin/a program
      0x555555559000     0x55555557a000    0x21000        0x0  rw-p   [heap]
      0x7ffff7fc9000     0x7ffff7fcd000     0x4000     0x2000  rw-s   
)";

TEST(ProcessMappings, AreReadFromGdbsList) {
  const auto mappings = parse_process_mappings(kText);
  ASSERT_TRUE(mappings) << mappings.error().message;
  ASSERT_EQ(mappings->size(), 3u);
  const Mapping& program = (*mappings)[0];
  EXPECT_EQ(program.range, (AddressRange{0x555555554000, 0x555555555000}));
  EXPECT_EQ(program.name, "/usr/bin/a program");
  EXPECT_TRUE(program.is_file());
  EXPECT_TRUE(program.readable);
  EXPECT_FALSE(program.writable);
  const Mapping& heap = (*mappings)[1];
  EXPECT_EQ(heap.name, "[heap]");
  EXPECT_FALSE(heap.is_file());
  EXPECT_TRUE(heap.writable);
  const Mapping& shared = (*mappings)[2];
  EXPECT_TRUE(shared.shared);
  EXPECT_EQ(shared.file_offset, 0x2000u);
  EXPECT_EQ(shared.name, "");
}

TEST(ProcessMappings, OutOfOrderAreAnError) {
  EXPECT_TRUE(parse_process_mappings("0x2000 0x3000 0x1000 0x0 rw-p\n0x3000 0x4000 0x1000 0x0 rw-p\n"));
  EXPECT_FALSE(parse_process_mappings("0x3000 0x4000 0x1000 0x0 rw-p\n0x2000 0x3000 0x1000 0x0 rw-p\n"));
  EXPECT_FALSE(parse_process_mappings("0x2000 0x2000 0x0 0x0 rw-p\n"));
}

TEST(ProcessMappings, NothingIsAnError) {
  EXPECT_FALSE(parse_process_mappings(""));
  EXPECT_FALSE(parse_process_mappings("No current process: you must name one.\n"));
}

}  // namespace
}  // namespace heapledger
