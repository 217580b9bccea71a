// SPDX-License-Identifier: Apache-2.0
//
// A small debugger for tests: a forked copy of the test process under ptrace, seen through Target
// and TargetControl. Breakpoints behave as in gdb: the trap stays when code is written under it.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "inferior/local_memory.h"
#include "inferior/target.h"

namespace heapledger::testing {

class TracedProcess final : public Target, public TargetControl {
 public:
  // Runs `body` in the child. `arenas` are R-X mappings made before, which allocate() serves from.
  TracedProcess(const std::function<void()>& body, std::vector<AddressRange> arenas)
      : pid_(start(body)), memory_(pid_), arenas_(std::move(arenas)) {
    memory_file_ = open(("/proc/" + std::to_string(pid_) + "/mem").c_str(), O_RDWR | O_CLOEXEC);
  }
  ~TracedProcess() override {
    ::kill(pid_, SIGKILL);
    for (const auto& [tid, seized] : seized_) {  // the leader's end is told last
      if (tid != pid_) reap(tid);
    }
    reap(pid_);
    close(memory_file_);
  }

  // ---- running ---------------------------------------------------------------------------------

  // Stops all threads; call again only after run().
  void stop() {
    for (bool found_more = true; found_more;) {
      found_more = false;
      for (const pid_t tid : task_ids()) {
        if (seized_[tid]) continue;
        if (ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) != 0) continue;  // ended meanwhile
        seized_[tid] = found_more = true;
      }
    }
    for (const auto& [tid, seized] : seized_) {
      ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr);
      wait_for_interrupt(tid);
    }
  }
  void run() {
    for (const auto& [tid, seized] : seized_) ptrace(PTRACE_CONT, tid, nullptr, nullptr);
  }
  // Single-steps one stopped thread until its pc is `pc`.
  bool step_to(pid_t tid, Address pc, int at_most = 200000) {
    for (int i = 0; i < at_most; ++i) {
      if (registers(tid).rip == pc) return true;
      ptrace(PTRACE_SINGLESTEP, tid, nullptr, nullptr);
      int status = 0;
      waitpid(tid, &status, __WALL);
      if (!WIFSTOPPED(status)) return false;
    }
    return false;
  }
  // The next thing `tid` does is to run its handler of `signal`.
  void deliver(pid_t tid, int signal) {
    syscall(SYS_tgkill, pid_, tid, signal);
    ptrace(PTRACE_CONT, tid, nullptr, nullptr);
    int status = 0;
    waitpid(tid, &status, __WALL);  // signal-delivery-stop
    ptrace(PTRACE_CONT, tid, nullptr, signal);
    ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr);
    wait_for_interrupt(tid);
  }
  bool alive() const {
    siginfo_t info{};
    return waitid(P_PID, pid_, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 &&
           info.si_pid == 0;
  }
  user_regs_struct registers(std::uint64_t tid) const {
    user_regs_struct result{};
    ptrace(PTRACE_GETREGS, pid_t(tid), nullptr, &result);
    return result;
  }

  // ---- breakpoints and faults ------------------------------------------------------------------

  void set_breakpoint(Address address) {
    std::byte original{};
    memory_.read_up_to(address, {&original, 1});
    breakpoints_[address] = original;
    poke(address, std::vector{kTrap});
  }
  // The n-th write_code from now on fails (0: none).
  void fail_write(int n) { failing_write_ = n; }
  void fail_set_pc() { failing_set_pc_ = true; }
  // Behind the debugger's back.
  void poke(Address address, std::span<const std::byte> bytes) const {
    if (pwrite(memory_file_, bytes.data(), bytes.size(), off_t(address)) != ssize_t(bytes.size())) {
      std::abort();
    }
  }

  // ---- Target ----------------------------------------------------------------------------------

  ProcessKind kind() override { return ProcessKind::live_local; }
  ProcessState state() override { return ProcessState::stopped; }
  std::uint64_t pid() override { return std::uint64_t(pid_); }
  std::uint64_t stop_id() override { return 0; }
  std::string program_path() override { return {}; }
  bool is_x86_64() override { return true; }
  std::string debugger() override { return "test"; }
  std::optional<int> exit_status() override { return std::nullopt; }
  const Memory& memory() override { return memory_; }
  Result<Mappings> mappings() override { return read_mappings(std::uint64_t(pid_)); }
  std::vector<ThreadState> thread_positions() override {
    std::vector<ThreadState> result;
    for (const auto& [tid, seized] : seized_) {
      const auto registers = this->registers(std::uint64_t(tid));
      ThreadState thread;
      thread.tid = std::uint64_t(tid);
      thread.index = std::uint32_t(result.size() + 1);
      thread.pc = registers.rip;
      thread.sp = registers.rsp;
      result.push_back(thread);
    }
    return result;
  }
  std::vector<ThreadState> threads() override { return thread_positions(); }
  std::vector<std::vector<SymbolFrame>> symbolize(std::span<const CodeAddress>) override {
    return {};
  }
  std::optional<DataName> name_data(Address) override { return std::nullopt; }
  std::vector<FrameInfo> backtrace(std::uint64_t, bool) override { return {}; }
  Result<Address> evaluate(const std::string&) override { return fail("not here"); }
  void out(std::string_view) override {}
  bool interrupted() override { return false; }
  void progress(std::uint64_t, std::uint64_t, std::string_view) override {}

  // ---- TargetControl ---------------------------------------------------------------------------

  Result<Address> allocate(std::uint64_t size, bool, AddressRange near) override {
    ++allocations;
    for (AddressRange& arena : arenas_) {
      const Address begin = std::min(arena.begin, near.begin);
      const Address end = std::max(arena.end, near.end);
      if (arena.size() < size || end - begin > 0x7ff00000) continue;
      arena.begin += size;
      return arena.begin - size;
    }
    return fail("no arena near {:#x}", near.begin);
  }
  Result<void> write_code(Address address, std::span<const std::byte> bytes) override {
    ++writes;
    if (failing_write_ != 0 && --failing_write_ == 0) return fail("write refused");
    std::vector<std::byte> shown(bytes.begin(), bytes.end());
    for (auto& [place, original] : breakpoints_) {
      if (place < address || place >= address + bytes.size()) continue;
      original = shown[place - address];
      shown[place - address] = kTrap;
    }
    poke(address, shown);
    return {};
  }
  Result<void> write_data(Address address, std::span<const std::byte> bytes) override {
    return memory_.write(address, bytes);
  }
  std::vector<Address> breakpoints_in(AddressRange range) override {
    std::vector<Address> result;
    for (const auto& [place, original] : breakpoints_) {
      if (range.contains(place)) result.push_back(place);
    }
    return result;
  }
  Result<void> set_pc(std::uint64_t tid, Address pc) override {
    if (failing_set_pc_) return fail("no register can be written");
    ++moves;
    auto registers = this->registers(tid);
    registers.rip = pc;
    if (ptrace(PTRACE_SETREGS, pid_t(tid), nullptr, &registers) != 0) return fail("ptrace");
    return {};
  }
  Result<std::uint64_t> call(Address, std::span<const std::uint64_t>) override {
    return fail("not here");
  }
  Result<void> announce(std::span<const std::byte>, Address, const std::string&) override {
    return {};
  }

  int allocations = 0, writes = 0, moves = 0;

 private:
  static constexpr std::byte kTrap{0xcc};

  static pid_t start(const std::function<void()>& body) {
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) body();
    _exit(0);
  }
  std::vector<pid_t> task_ids() const {
    std::vector<pid_t> result;
    DIR* directory = opendir(("/proc/" + std::to_string(pid_) + "/task").c_str());
    while (const dirent* entry = directory ? readdir(directory) : nullptr) {
      if (const int tid = std::atoi(entry->d_name)) result.push_back(tid);
    }
    if (directory) closedir(directory);
    return result;
  }
  static void reap(pid_t tid) {
    int status = 0;
    while (waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status)) {
    }
  }
  // Signals that come first are passed on.
  static void wait_for_interrupt(pid_t tid) {
    int status = 0;
    while (waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status)) {
      if (status >> 16 == PTRACE_EVENT_STOP) return;
      ptrace(PTRACE_CONT, tid, nullptr, WSTOPSIG(status));
    }
  }

  pid_t pid_;
  LocalMemory memory_;
  int memory_file_ = -1;
  std::vector<AddressRange> arenas_;
  std::map<pid_t, bool> seized_;
  std::map<Address, std::byte> breakpoints_;
  int failing_write_ = 0;
  bool failing_set_pc_ = false;
};

}  // namespace heapledger::testing
