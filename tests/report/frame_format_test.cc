// SPDX-License-Identifier: Apache-2.0
#include "report/frame_format.h"

#include <gtest/gtest.h>

#include "report/numbers.h"

namespace heapledger {
namespace {

const SymbolFrame kFibonacci{.function = "fibonacci(int)",
                             .file = "/home/me/src/fib.c",
                             .line = 12,
                             .module = "app",
                             .offset = 0x1f,
                             .module_offset = 0x118f,
                             .address = 0x40118F};

TEST(MemleakFrame, HasOffsetModuleAndPlace) {
  EXPECT_EQ(memleak_frame(kFibonacci), "fibonacci(int)+0x1f [app] fib.c:12");
}

TEST(MemleakFrame, WithoutPlaceEndsAtModule) {
  SymbolFrame frame = kFibonacci;
  frame.file.clear();
  EXPECT_EQ(memleak_frame(frame), "fibonacci(int)+0x1f [app]");
}

TEST(MemleakFrame, InlinedHasNoOffset) {
  SymbolFrame frame = kFibonacci;
  frame.inlined = true;
  EXPECT_EQ(memleak_frame(frame), "fibonacci(int) [inlined] [app] fib.c:12");
}

TEST(MemleakFrame, UnknownFunctionShowsAddressAndPlaceInModule) {
  EXPECT_EQ(memleak_frame({.module = "libfoo.so", .module_offset = 0x1234, .address = 0x7f0011234}),
            "0x7f0011234 [libfoo.so+0x1234]");
}

TEST(MemleakFrame, UnknownModuleIsSaid) {
  EXPECT_EQ(memleak_frame({.address = 0x7f0011234}), "0x7f0011234 [unknown]");
}

TEST(ValgrindFrame, NamesPlaceOrPathOfTheMapping) {
  const Mappings mappings{{.range = {0x7000, 0x9000}, .inode = 5, .name = "/lib/libc.so.6"}};
  EXPECT_EQ(valgrind_frame(kFibonacci, mappings), "0x40118F: fibonacci(int) (fib.c:12)");
  EXPECT_EQ(valgrind_frame({.function = "malloc", .module = "libc.so.6", .address = 0x8ABC},
                           mappings),
            "0x8ABC: malloc (in /lib/libc.so.6)");
  EXPECT_EQ(valgrind_frame({.address = 0x8ABC}, mappings), "0x8ABC: ??? (in /lib/libc.so.6)");
  EXPECT_EQ(valgrind_frame({.address = 0xABC}, mappings), "0xABC: ???");
}

TEST(FrameJson, KeepsTheFullPath) {
  const std::string expected =
      R"json({"function":"fibonacci(int)","file":"/home/me/src/fib.c","line":12,"module":"app",)json"
      R"("offset":31,"address":4198799,"module_offset":4495,"inlined":false})";
  EXPECT_EQ(json_text(frame_json(kFibonacci)), expected);
}

TEST(FrameJson, ReplacesBytesThatAreNoText) {
  EXPECT_EQ(json_text(Json("a\xff")), "\"a\xef\xbf\xbd\"");
  // What a terminal obeys, in JSON's words: it is the same text for who reads it.
  EXPECT_EQ(json_text(Json("\x1b" "a\x7f\xc2\x9b\xc2\xa0")), "\"\\u001ba\\u007f\\u009b\xc2\xa0\"");
  EXPECT_EQ(Json::parse(json_text(Json("\x7f\xc2\x9b"))), Json("\x7f\xc2\x9b"));
}

TEST(Numbers, CommasEveryThreeDigits) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(1234567), "1,234,567");
  EXPECT_EQ(with_commas(UINT64_MAX), "18,446,744,073,709,551,615");
}

}  // namespace
}  // namespace heapledger
