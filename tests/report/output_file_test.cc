// SPDX-License-Identifier: Apache-2.0
#include "report/output_file.h"

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
