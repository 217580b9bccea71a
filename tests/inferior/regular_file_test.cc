// SPDX-License-Identifier: Apache-2.0
#include "inferior/regular_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/inferior/child.h"

namespace heapledger {
namespace {

namespace fs = std::filesystem;

class RegularFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string text = "/tmp/heapledger_regular_XXXXXX";
    folder = mkdtemp(text.data());
    std::ofstream(folder / "file") << "mine";
  }
  void TearDown() override { fs::remove_all(folder); }

  // What the descriptor leads to, or the reason why there is none.
  static std::string contents(const Result<int>& descriptor) {
    if (!descriptor) return descriptor.error().message;
    char text[100];
    const ssize_t got = read(*descriptor, text, sizeof text);
    close(*descriptor);
    return {text, std::size_t(std::max<ssize_t>(got, 0))};
  }

  fs::path folder;
};

TEST_F(RegularFile, IsOpened) { EXPECT_EQ(contents(open_regular(folder / "file")), "mine"); }

TEST_F(RegularFile, OtherKindsAreNotOpened) {
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(contents(open_regular(folder / "pipe")), "not a regular file");
  EXPECT_EQ(contents(open_regular("/dev/zero")), "not a regular file");
  EXPECT_EQ(contents(open_regular(folder)), "not a regular file");
  EXPECT_EQ(contents(open_regular(folder / "missing")), "No such file or directory");
  // Nobody stands at the pipe's end: it was not opened and closed again either.
  EXPECT_EQ(open((folder / "pipe").c_str(), O_WRONLY | O_NONBLOCK), -1);
}

TEST_F(RegularFile, OfAnotherProcessIsSoughtBelowItsRoot) {
  const fs::path outside = folder / "outside", root = folder / "root";
  fs::create_directories(root / "lib");
  std::ofstream(outside) << "the debugger's";
  std::ofstream(root / "lib/file") << "the program's";
  fs::create_symlink(outside, root / "away");
  fs::create_symlink("/../../../../../.." + outside.string(), root / "up");
  fs::create_symlink("/lib/file", root / "here");
  const Child child = Child::forked([&] {
    if (chroot(root.c_str()) != 0 || chdir("/") != 0) _exit(1);
  });
  EXPECT_EQ(contents(open_regular_of(child.pid(), "/lib/file")), "the program's");
  EXPECT_EQ(contents(open_regular_of(child.pid(), "/here")), "the program's");
  EXPECT_EQ(contents(open_regular_of(child.pid(), "/away")), "No such file or directory");
  EXPECT_EQ(contents(open_regular_of(child.pid(), "/up")), "No such file or directory");
  EXPECT_EQ(contents(open_regular_of(child.pid(), "/lib")), "not a regular file");
}

}  // namespace
}  // namespace heapledger
