// SPDX-License-Identifier: Apache-2.0
#include "inferior/task_states.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace heapledger {
namespace {

TEST(TaskStates, AProcessStandsStillWhenAllOfItDoes) {
  const pid_t pid = fork();
  if (pid == 0) {
    for (;;) pause();
  }
  const auto id = static_cast<std::uint64_t>(pid);
  EXPECT_FALSE(all_tasks_stopped(id));  // it sleeps, but would wake
  kill(pid, SIGSTOP);
  waitpid(pid, nullptr, WUNTRACED);
  EXPECT_TRUE(all_tasks_stopped(id));
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  EXPECT_FALSE(all_tasks_stopped(id));
}

TEST(TaskStates, ThisOneRuns) { EXPECT_FALSE(all_tasks_stopped(std::uint64_t(getpid()))); }

}  // namespace
}  // namespace heapledger
