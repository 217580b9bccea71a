// SPDX-License-Identifier: Apache-2.0
#include "inferior/separate_debug_file.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "inferior/debug_file.h"

namespace heapledger {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNowhere = "/nonexistent";

// A stripped library beside its debug file, which it names; with a build-id or without.
class SeparateDebugFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string text = "/tmp/heapledger_debug_XXXXXX";
    folder = mkdtemp(text.data());
    make("", "0x1122334455667788");
    make("plain_", "none");
  }
  void TearDown() override { fs::remove_all(folder); }

  void make(const std::string& prefix, const std::string& id) {
    const std::string library = folder / (prefix + "library.so"), debug = library + ".debug";
    run(fmt::format("gcc -g -O1 -shared -fPIC -Wl,--build-id={} -o {} {}", id, library, LIBRARY_SOURCE));
    run(fmt::format("objcopy --only-keep-debug {} {}", library, debug));
    run(fmt::format("objcopy --strip-debug --add-gnu-debuglink={} {}", debug, library));
  }
  static void run(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

  std::string found(const std::string& library, const std::string& directories = kNowhere) {
    const auto elf = ElfFile::open(folder / library);
    if (!elf) return elf.error().message;
    const auto debug = separate_debug_file(**elf, directories);
    return debug ? fs::path(debug->name()).lexically_relative(folder) : "none";
  }
  void damage(const std::string& name) {
    std::ofstream(folder / name, std::ios::binary | std::ios::app) << '\0';
  }

  fs::path folder;
};

TEST_F(SeparateDebugFile, IsTheOneWithTheBuildId) {
  EXPECT_EQ(found("library.so"), "library.so.debug");
  fs::create_directories(folder / "all/.build-id/11");
  fs::rename(folder / "library.so.debug", folder / "all/.build-id/11/22334455667788.debug");
  EXPECT_EQ(found("library.so"), "none");
  EXPECT_EQ(found("library.so", "/nonexistent:" + (folder / "all").string()),
            "all/.build-id/11/22334455667788.debug");
  fs::copy_file(folder / "plain_library.so.debug", folder / "library.so.debug");
  EXPECT_EQ(found("library.so"), "none");  // of another library, under that name
}

TEST_F(SeparateDebugFile, WithoutABuildIdIsTheOneWithTheChecksum) {
  EXPECT_EQ(found("plain_library.so"), "plain_library.so.debug");
  fs::create_directories(folder / ".debug");
  fs::rename(folder / "plain_library.so.debug", folder / ".debug/plain_library.so.debug");
  EXPECT_EQ(found("plain_library.so"), ".debug/plain_library.so.debug");
  damage(".debug/plain_library.so.debug");
  EXPECT_EQ(found("plain_library.so"), "none");
}

TEST_F(SeparateDebugFile, IsNotWaitedForAtAPipe) {
  fs::remove(folder / "library.so.debug");
  ASSERT_EQ(mkfifo((folder / "library.so.debug").c_str(), 0600), 0);
  EXPECT_EQ(found("library.so"), "none");
  const auto elf = ElfFile::open(folder / "library.so");
  ASSERT_TRUE(elf);
  EXPECT_EQ(DebugFile(*elf, kNowhere).frames((*elf)->functions("library_function").at(0).value).back().line, 0u);
}

TEST_F(SeparateDebugFile, IsAskedOfNoServer) {
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(server, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(server, 1), 0);
  ASSERT_EQ(getsockname(server, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string url = fmt::format("http://127.0.0.1:{}", ntohs(address.sin_port));
  setenv("DEBUGINFOD_URLS", url.c_str(), 1);
  setenv("DEBUGINFOD_TIMEOUT", "2", 1);
  setenv("DEBUGINFOD_CACHE_PATH", (folder / "cache").c_str(), 1);
  fs::create_directories(folder / "cache/1122334455667788");
  fs::rename(folder / "library.so.debug", folder / "elsewhere");
  const auto line = [&] {
    const auto elf = ElfFile::open(folder / "library.so");
    return DebugFile(*elf, kNowhere).frames((*elf)->functions("library_function").at(0).value).back().line;
  };
  EXPECT_EQ(line(), 0u);
  pollfd asked{.fd = server, .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&asked, 1, 0), 0);
  // What was fetched before is used.
  fs::rename(folder / "elsewhere", folder / "cache/1122334455667788/debuginfo");
  EXPECT_NE(line(), 0u);
  for (const char* name : {"DEBUGINFOD_URLS", "DEBUGINFOD_TIMEOUT", "DEBUGINFOD_CACHE_PATH"}) unsetenv(name);
  close(server);
}

// What two libraries have in common, dwz takes out into a third file.
TEST_F(SeparateDebugFile, NamesAnother) {
  fs::copy_file(folder / "library.so.debug", folder / "other");
  std::ofstream(folder / "link", std::ios::binary) << "other" << '\0' << "\x11\x22\x33\x44\x55\x66\x77\x88";
  run(fmt::format("objcopy --add-section .gnu_debugaltlink={} {}", (folder / "link").string(),
                  (folder / "library.so.debug").string()));
  const auto other = [&] {
    const auto debug = ElfFile::open(folder / "library.so.debug");
    EXPECT_TRUE(has_alternate_debug_file(**debug));
    const auto file = alternate_debug_file(**debug, kNowhere);
    return file ? fs::path(file->name()).filename().string() : "none";
  };
  const auto line = [&] {
    const auto elf = ElfFile::open(folder / "library.so");
    return DebugFile(*elf, kNowhere).frames((*elf)->functions("library_function").at(0).value).back().line;
  };
  EXPECT_EQ(other(), "other");
  EXPECT_NE(line(), 0u);
  fs::remove(folder / "other");
  ASSERT_EQ(mkfifo((folder / "other").c_str(), 0600), 0);
  EXPECT_EQ(other(), "none");
  EXPECT_EQ(line(), 0u);
}

}  // namespace
}  // namespace heapledger
