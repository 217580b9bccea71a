// SPDX-License-Identifier: Apache-2.0
//
// A labelled program (tests/programs/truth.h) run under ptrace up to heapledger_stop_here, all threads
// stopped, with what it said about itself.
#pragma once

#include <dirent.h>
#include <elf.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "inferior/local_memory.h"
#include "inferior/mappings.h"
#include "inferior/modules.h"
#include "inferior/target.h"

namespace heapledger::test {

struct Label {
  std::uint64_t size = 0;
  std::string what;
  std::string name;
};

class StoppedProgram {
 public:
  explicit StoppedProgram(const std::string& path)
      : truth_(std::filesystem::temp_directory_path() / ("truth." + std::to_string(getpid()))) {
    std::filesystem::remove(truth_);
    pid_ = fork();
    if (pid_ == 0) {
      setenv("HEAPLEDGER_TRUTH", truth_.c_str(), 1);
      ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      execl(path.c_str(), path.c_str(), nullptr);
      _exit(127);
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
    reached_ = WIFSTOPPED(status) && set_breakpoint() && run_to_breakpoint();
    if (reached_) stop_others();
    read_labels();
  }
  ~StoppedProgram() {
    kill(pid_, SIGKILL);
    for (int status; waitpid(-1, &status, __WALL) > 0;) {
    }
    std::filesystem::remove(truth_);
  }
  StoppedProgram(const StoppedProgram&) = delete;
  StoppedProgram& operator=(const StoppedProgram&) = delete;

  bool reached() const { return reached_; }
  std::uint64_t pid() const { return static_cast<std::uint64_t>(pid_); }
  LocalMemory memory() const { return LocalMemory(pid()); }
  const std::map<Address, Label>& labels() const { return labels_; }

  std::vector<ThreadState> threads() const {
    std::vector<ThreadState> threads;
    for (const pid_t tid : tids()) {
      ThreadState t;
      user_regs_struct r{};
      if (ptrace(PTRACE_GETREGS, tid, nullptr, &r) != 0) continue;  // a zombie
      t.tid = static_cast<std::uint64_t>(tid);
      t.index = static_cast<std::uint32_t>(threads.size() + 1);
      t.pc = r.rip;
      t.sp = r.rsp;
      t.fs_base = r.fs_base;
      t.has_registers = true;
      t.general = {r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.r8,
                   r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15};
      user_fpregs_struct f{};
      ptrace(PTRACE_GETFPREGS, tid, nullptr, &f);
      t.vector.resize(32);
      std::memcpy(t.vector.data(), f.xmm_space, 256);
      threads.push_back(t);
    }
    return threads;
  }

 private:
  std::set<pid_t> tids() const {
    std::set<pid_t> tids;
    for (const auto& e : std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/task")) {
      tids.insert(std::stoi(e.path().filename()));
    }
    return tids;
  }
  bool set_breakpoint() {
    const auto mappings = read_mappings(pid());
    if (!mappings) return false;
    const LocalMemory memory = this->memory();
    const auto modules = ModuleList::read(pid(), *mappings, memory);
    if (!modules) return false;
    for (const Module& m : *modules) {
      if (!m.is_program || m.elf == nullptr) continue;
      const auto symbol = m.elf->symbol("heapledger_stop_here");
      if (!symbol) return false;
      at_ = m.bias + symbol->value;
      const long word = ptrace(PTRACE_PEEKTEXT, pid_, at_, nullptr);
      return ptrace(PTRACE_POKETEXT, pid_, at_, (word & ~0xffl) | 0xcc) == 0;
    }
    return false;
  }
  bool run_to_breakpoint() {
    ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
    for (;;) {
      int status = 0;
      const pid_t tid = waitpid(-1, &status, __WALL);
      if (tid < 0 || ((WIFEXITED(status) || WIFSIGNALED(status)) && tid == pid_)) return false;
      if (!WIFSTOPPED(status)) continue;
      const int signal = WSTOPSIG(status);
      if (signal == SIGTRAP && (status >> 16) == 0) {
        user_regs_struct r{};
        ptrace(PTRACE_GETREGS, tid, nullptr, &r);
        if (r.rip == at_ + 1) {
          r.rip = at_;
          ptrace(PTRACE_SETREGS, tid, nullptr, &r);
          stopped_.insert(tid);
          return true;
        }
      }
      const bool ours = signal == SIGTRAP || (signal == SIGSTOP && fresh_.insert(tid).second);
      ptrace(PTRACE_CONT, tid, nullptr, ours ? 0 : signal);
    }
  }
  void stop_others() {
    for (const pid_t tid : tids()) {
      if (stopped_.contains(tid)) continue;
      for (;;) {
        syscall(234 /* tgkill */, pid_, tid, SIGSTOP);
        int status = 0;
        if (waitpid(tid, &status, __WALL) < 0 || WIFEXITED(status)) break;
        if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP) break;
        ptrace(PTRACE_CONT, tid, nullptr, nullptr);
      }
    }
  }
  void read_labels() {
    std::ifstream file(truth_);
    std::string address;
    for (Label label; file >> address >> label.size >> label.what >> label.name;) {
      labels_[std::stoull(address, nullptr, 16)] = label;
    }
  }

  std::filesystem::path truth_;
  pid_t pid_ = -1;
  Address at_ = 0;
  bool reached_ = false;
  std::set<pid_t> stopped_;
  std::set<pid_t> fresh_;
  std::map<Address, Label> labels_;
};

}  // namespace heapledger::test
