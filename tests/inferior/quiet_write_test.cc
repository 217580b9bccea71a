// SPDX-License-Identifier: Apache-2.0
#include "inferior/quiet_write.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace heapledger {
namespace {

constexpr std::array<std::byte, 4> kBytes{};

bool is_pending(int signal) {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, signal) == 1;
}

TEST(QuietWrite, TellsOfAPipeThatNobodyReads) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  EXPECT_EQ(quiet_write(ends[1], kBytes), 4);
  close(ends[0]);
  EXPECT_EQ(quiet_write(ends[1], kBytes), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_FALSE(is_pending(SIGPIPE));
  close(ends[1]);
}

TEST(QuietWrite, TellsOfAFileThatMayNotGrow) {
  const int file = memfd_create("quiet_write_test", MFD_CLOEXEC);
  ASSERT_GE(file, 0);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{6, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_EQ(quiet_write(file, kBytes), 4);
  EXPECT_EQ(quiet_write(file, kBytes), 2);
  EXPECT_EQ(quiet_write(file, kBytes), -1);
  EXPECT_EQ(errno, EFBIG);
  EXPECT_FALSE(is_pending(SIGXFSZ));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  close(file);
}

}  // namespace
}  // namespace heapledger
