// SPDX-License-Identifier: Apache-2.0
//
// Child processes of tests: forked or started, seen stopped by their parent, killed at the end.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace heapledger {

class Child {
 public:
  // Runs `body` in a fork and waits until it has stopped itself behind it.
  template <typename Body>
  static Child forked(Body body) {
    const pid_t pid = fork();
    if (pid == 0) {
      body();
      raise(SIGSTOP);
      _exit(0);
    }
    return wait_stopped(pid);
  }

  // Starts a program that stops itself (raise(SIGSTOP)) when it is ready.
  static Child started(const std::string& path) {
    const pid_t pid = fork();
    if (pid == 0) {
      execl(path.c_str(), path.c_str(), nullptr);
      _exit(127);
    }
    return wait_stopped(pid);
  }

  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

  // Lets a stopped child go on to its next stop.
  void go_on() const {
    int status = 0;
    kill(pid_, SIGCONT);
    EXPECT_EQ(waitpid(pid_, &status, WUNTRACED), pid_);
    EXPECT_TRUE(WIFSTOPPED(status)) << "child ended with status " << status;
  }

  std::uint64_t pid() const { return static_cast<std::uint64_t>(pid_); }

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  static Child wait_stopped(pid_t pid) {
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    EXPECT_TRUE(WIFSTOPPED(status)) << "child ended with status " << status;
    return Child(WIFSTOPPED(status) ? pid : -1);
  }
  pid_t pid_;
};

}  // namespace heapledger
