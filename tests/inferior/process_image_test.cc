// SPDX-License-Identifier: Apache-2.0
#include "inferior/process_image.h"

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "inferior/local_memory.h"

namespace heapledger {
namespace {

// A child of ours, traced or not, stopped before (and, when asked for, behind) an exec.
class Child {
 public:
  explicit Child(bool traced) {
    pid_ = fork();
    if (pid_ == 0) {
      if (traced) ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      raise(SIGSTOP);
      execl("/bin/true", "true", nullptr);
      _exit(127);
    }
    wait_for_stop();
  }
  ~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::uint64_t pid() const { return std::uint64_t(pid_); }
  void resume_to_exec() {
    ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
    wait_for_stop();
  }

 private:
  void wait_for_stop() { waitpid(pid_, nullptr, WUNTRACED); }
  pid_t pid_;
};

TEST(ProcessImage, StaysTheSame) {
  const LocalMemory memory(getpid());
  const auto first = read_process_image(getpid(), memory);
  const auto second = read_process_image(getpid(), memory);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
  EXPECT_NE(first->random, (std::array<std::uint64_t, 2>{}));
}

TEST(ProcessImage, DiffersAfterExec) {
  Child child(true);
  const LocalMemory memory(child.pid());
  const auto before = read_process_image(child.pid(), memory);
  child.resume_to_exec();
  const auto after = read_process_image(child.pid(), memory);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->pid, after->pid);
  EXPECT_EQ(before->start_time, after->start_time);
  EXPECT_NE(before->random, after->random);
}

TEST(ProcessImage, OfNoProcessIsAnError) {
  EXPECT_FALSE(read_process_image(0x7fffffff, LocalMemory(0x7fffffff)));
}

TEST(ProcessImage, LaunchedMeansTracedByTheParent) {
  Child traced(true);
  Child untraced(false);
  EXPECT_TRUE(launched_by_tracer(traced.pid()));
  EXPECT_FALSE(launched_by_tracer(untraced.pid()));
}

TEST(LoaderState, IsConsistentInARunningProgram) {
  const LocalMemory memory(getpid());
  const auto image = read_process_image(getpid(), memory);
  ASSERT_TRUE(image);
  EXPECT_EQ(loader_state(*image, memory), LoaderState::consistent);
}

TEST(LoaderState, IsUnknownBeforeTheLoaderRan) {
  Child child(true);
  child.resume_to_exec();
  const LocalMemory memory(child.pid());
  const auto image = read_process_image(child.pid(), memory);
  ASSERT_TRUE(image);
  EXPECT_EQ(loader_state(*image, memory), LoaderState::unknown);
}

// struct r_debug as words: version, map, brk, state, base, next.
TEST(LoaderState, FollowsEveryNamespace) {
  const LocalMemory memory(getpid());
  std::uint64_t second[6] = {2, 0, 0, 0, 0, 0};
  std::uint64_t first[6] = {2, 0, 0, 0, 0, reinterpret_cast<std::uint64_t>(second)};
  const Address at = reinterpret_cast<Address>(first);
  EXPECT_EQ(loader_state_at(at, memory), LoaderState::consistent);
  second[3] = 1;
  EXPECT_EQ(loader_state_at(at, memory), LoaderState::changing);
  first[0] = 1;  // an older r_debug has no next
  EXPECT_EQ(loader_state_at(at, memory), LoaderState::consistent);
  first[0] = 0;
  EXPECT_EQ(loader_state_at(at, memory), LoaderState::unknown);
}

}  // namespace
}  // namespace heapledger
