// SPDX-License-Identifier: Apache-2.0
#include "inferior/printable.h"

#include <gtest/gtest.h>

namespace heapledger {
namespace {

TEST(Printable, LeavesTextAsItIs) {
  EXPECT_EQ(printable("two lines\n\tof text\n"), "two lines\n\tof text\n");
  EXPECT_EQ(printable("G\xc3\xb6\xc3\x9f" "e \xe2\x82\xac \xf0\x9f\x98\x80"), "G\xc3\xb6\xc3\x9f" "e \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, ShowsControlCharactersInNumbers) {
  EXPECT_EQ(printable("lib\x1b]0;title\x07.so\r"), "lib\\x1b]0;title\\x07.so\\x0d");
  EXPECT_EQ(printable(std::string_view("a\0b\x7f", 4)), "a\\x00b\\x7f");
  EXPECT_EQ(printable("\xc2\x9b" "31m"), "\\xc2\\x9b31m");  // CSI in one character
  EXPECT_EQ(printable("a\xe2\x80\xae" "b\xe2\x81\xa9"), "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa9");  // from right to left
  EXPECT_EQ(printable("\xe2\x80\x93 \xe2\x81\x84"), "\xe2\x80\x93 \xe2\x81\x84");  // a dash, a fraction's slash
}

TEST(Printable, ShowsWhatIsNoUtf8InNumbers) {
  EXPECT_EQ(printable("\x9b" "31m"), "\\x9b31m");              // CSI in one byte
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b");              // overlong
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");     // a surrogate
  EXPECT_EQ(printable("cut \xe2\x82"), "cut \\xe2\\x82");
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond U+10FFFF
}

TEST(Printable, ANameBeginsNoLineOfItsOwn) {
  EXPECT_EQ(one_line("f\nLEAK SUMMARY:\t0"), "f\\x0aLEAK SUMMARY:\\x090");
  EXPECT_EQ(one_line("operator new[](unsigned long)"), "operator new[](unsigned long)");
}

}  // namespace
}  // namespace heapledger
