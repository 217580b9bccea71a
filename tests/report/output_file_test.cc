// SPDX-License-Identifier: Apache-2.0
#include "report/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace heapledger {
namespace {

namespace fs = std::filesystem;

class OutputFileTest : public ::testing::Test {
 protected:
  OutputFileTest() {
    std::string name = (fs::temp_directory_path() / "output_file_test.XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~OutputFileTest() override { fs::remove_all(folder); }

  static std::string content(const fs::path& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  std::size_t files() const {
    return std::size_t(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
  }
  fs::path folder;
};

TEST_F(OutputFileTest, AppearsWholeAndForItsOwnerOnly) {
  const fs::path path = folder / "report.json";
  auto file = OutputFile::open(path.string());
  ASSERT_TRUE(file);
  file->write("one ");
  file->write("two");
  EXPECT_FALSE(fs::exists(path));
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(content(path), "one two");
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFileTest, WithoutCommitTheOldFileStays) {
  const fs::path path = folder / "report.json";
  std::ofstream(path) << "old";
  {
    auto file = OutputFile::open(path.string());
    ASSERT_TRUE(file);
    file->write("new");
  }
  EXPECT_EQ(content(path), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFileTest, FollowsALink) {
  std::ofstream(folder / "real") << "old";
  fs::create_symlink(folder / "real", folder / "link");
  auto file = OutputFile::open((folder / "link").string());
  ASSERT_TRUE(file);
  file->write("new");
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(content(folder / "real"), "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
}

// Anybody may have put it there, to have a root's report written over what it leads to.
TEST_F(OutputFileTest, InAFolderForAllFollowsNoLinkOfSomebodyElse) {
  const fs::path shared = folder / "shared", path = shared / "report", mine = folder / "mine";
  fs::create_directory(shared);
  std::ofstream(mine) << "mine";
  ASSERT_EQ(::chmod(shared.c_str(), 01777), 0);
  fs::create_symlink(mine, path);
  EXPECT_TRUE(OutputFile::open(path.string()));
  ASSERT_EQ(::lchown(path.c_str(), 65534, 65534), 0);  // as root, as this test
  const auto planted = OutputFile::open(path.string());
  ASSERT_FALSE(planted);
  EXPECT_EQ(planted.error().message, "cannot write " + path.string() + ": somebody else put it there");
  fs::create_symlink(path, folder / "to_it");
  EXPECT_FALSE(OutputFile::open((folder / "to_it").string()));
  fs::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0666), 0);
  ASSERT_EQ(::lchown(path.c_str(), 65534, 65534), 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  EXPECT_FALSE(OutputFile::open(path.string()));
  ::close(reader);
  EXPECT_EQ(content(mine), "mine");
}

TEST_F(OutputFileTest, WritesToAPipeThatALinkOfTheKernelsLeadsTo) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  {
    auto file = OutputFile::open(fmt::format("/proc/self/fd/{}", pipe[1]));
    ASSERT_TRUE(file) << file.error().message;
    file->write("text");
    EXPECT_TRUE(file->commit());
  }
  char text[5] = "";
  EXPECT_EQ(::read(pipe[0], text, 4), 4);
  EXPECT_STREQ(text, "text");
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_F(OutputFileTest, ADeviceStaysADevice) {
  auto file = OutputFile::open("/dev/null");
  ASSERT_TRUE(file);
  file->write("x");
  EXPECT_TRUE(file->commit());
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(OutputFileTest, SaysWhyItCannotWrite) {
  const std::string missing = (folder / "none" / "report").string();
  EXPECT_EQ(OutputFile::open(missing).error().message,
            "cannot write " + missing + ": No such file or directory");
  EXPECT_EQ(OutputFile::open(folder.string()).error().message,
            "cannot write " + folder.string() + ": it is a folder");
  EXPECT_EQ(OutputFile::open("").error().message, "cannot write to an empty file name");
}

}  // namespace
}  // namespace heapledger
