// SPDX-License-Identifier: Apache-2.0
#include "inferior/core_file.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "inferior/local_memory.h"
#include "tests/inferior/child.h"

namespace heapledger {
namespace {

namespace fs = std::filesystem;

// A core of this very process, written by gdb's gcore from a forked child that waits.
class CoreFileOfAChild : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("core_file_test." + std::to_string(getpid()));
    fs::create_directory(folder_);
    pid_ = fork();
    if (pid_ == 0) {
      for (;;) pause();
    }
    const std::string prefix = (folder_ / "core").string();
    const std::string command = "gdb -nx -q -batch -p " + std::to_string(pid_) + " -ex 'gcore " +
                                prefix + "' > /dev/null 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0);
    path_ = prefix;
  }
  void TearDown() override {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    fs::remove_all(folder_);
  }
  fs::path folder_;
  pid_t pid_ = 0;
  std::string path_;
};

TEST_F(CoreFileOfAChild, HasTheModulesOfTheProcess) {
  const auto core = read_core_file(path_);
  ASSERT_TRUE(core) << core.error().message;
  const auto live = ModuleList::read(pid_, *read_mappings(pid_), LocalMemory(pid_));
  ASSERT_TRUE(live);
  std::size_t compared = 0;
  for (const Module& module : *live) {
    if (module.path == "[vdso]") continue;
    const auto found = std::find_if(core->modules.begin(), core->modules.end(),
                                    [&](const Module& m) { return m.path == module.path; });
    ASSERT_NE(found, core->modules.end()) << module.path;
    EXPECT_EQ(found->bias, module.bias) << module.path;
    EXPECT_EQ(found->range, module.range) << module.path;
    EXPECT_EQ(found->is_program, module.is_program) << module.path;
    ++compared;
  }
  EXPECT_GE(compared, 3u);
  EXPECT_EQ(core->entry, getauxval(AT_ENTRY));
}

TEST_F(CoreFileOfAChild, HasItsMemoryAndMappings) {
  static volatile int on_the_heap_of_the_program = 4711;
  const auto core = read_core_file(path_);
  ASSERT_TRUE(core);
  const auto memory = memory_of(*core);
  const auto address = reinterpret_cast<Address>(&on_the_heap_of_the_program);
  EXPECT_EQ(memory->read_value<int>(address), 4711);
  const Mapping* mapping = find_mapping(core->mappings, address);
  ASSERT_NE(mapping, nullptr);
  EXPECT_TRUE(mapping->writable);
  EXPECT_TRUE(mapping->is_file());
  // Text is not in the core; its file has it.
  const auto code = reinterpret_cast<Address>(&read_core_file);
  std::array<std::byte, 16> there{}, here{};
  std::memcpy(here.data(), reinterpret_cast<const void*>(code), here.size());
  ASSERT_EQ(memory->read_up_to(code, there), there.size());
  EXPECT_EQ(there, here);
}

TEST_F(CoreFileOfAChild, CutOffAnywhereItIsStillRead) {
  std::ifstream file(path_, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  ASSERT_GT(whole.size(), 100000u);
  for (const std::size_t size : {std::size_t{200}, std::size_t{5000}, whole.size() / 2}) {
    const fs::path cut = folder_ / "cut";
    std::ofstream(cut, std::ios::binary) << whole.substr(0, size);
    const auto core = read_core_file(cut);
    if (core) {
      EXPECT_LE(core->modules.size(), 100u);
    }
  }
}

TEST(CoreFile, OtherFilesAreRefused) {
  const auto core = read_core_file("/proc/self/exe");
  ASSERT_FALSE(core);
  EXPECT_EQ(core.error().message, "/proc/self/exe is no core file");
  EXPECT_FALSE(read_core_file("/nonexistent"));
}

}  // namespace
}  // namespace heapledger
