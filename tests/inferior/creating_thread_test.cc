// SPDX-License-Identifier: Apache-2.0
#include "inferior/creating_thread.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace heapledger {
namespace {

// A child that forks under a tracer that is told of it.
class Forking : public ::testing::Test {
 protected:
  void SetUp() override {
    child_ = fork();
    if (child_ == 0) {
      ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      raise(SIGSTOP);
      _exit(fork() < 0 ? 1 : 0);
    }
    ASSERT_TRUE(WIFSTOPPED(wait()));
    ASSERT_EQ(ptrace(PTRACE_SETOPTIONS, child_, nullptr, PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL), 0);
  }
  void TearDown() override {
    kill(child_, SIGKILL);
    if (grandchild_ > 0) {
      kill(grandchild_, SIGKILL);
      waitpid(grandchild_, nullptr, __WALL);
    }
    waitpid(child_, nullptr, __WALL);
  }
  int wait() const {
    int status = 0;
    waitpid(child_, &status, __WALL);
    return status;
  }
  std::uint64_t pid() const { return static_cast<std::uint64_t>(child_); }

  pid_t child_ = -1;
  unsigned long grandchild_ = 0;
};

TEST_F(Forking, IsSeenOnlyInsideTheCall) {
  EXPECT_FALSE(is_creating_another(pid(), pid()));  // stopped by a signal
  ptrace(PTRACE_CONT, child_, nullptr, nullptr);
  ASSERT_EQ(wait() >> 8, SIGTRAP | PTRACE_EVENT_FORK << 8);
  ptrace(PTRACE_GETEVENTMSG, child_, nullptr, &grandchild_);
  EXPECT_TRUE(is_creating_another(pid(), pid()));
}

TEST(CreatingThread, IsNoneOfAProcessThatIsGone) {
  EXPECT_FALSE(is_creating_another(0x7fffffff, 0x7fffffff));
}

}  // namespace
}  // namespace heapledger
