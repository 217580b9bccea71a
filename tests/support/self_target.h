// SPDX-License-Identifier: Apache-2.0
//
// Tracking of this very process: Target and TargetControl without a debugger. The caller starts and
// stops tracking while no other thread runs. For tests of the agent, which need its real hooks in a
// real allocator, and for bench/, which must not measure a debugger. Another process that stands still
// can be looked at with it, not tracked.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "inferior/local_memory.h"
#include "inferior/target.h"

namespace heapledger::testing {

class SelfTarget : public Target, public TargetControl {
 public:
  explicit SelfTarget(pid_t pid = getpid()) : pid_(std::uint64_t(pid)), memory_(pid_) {}

  ProcessKind kind() override { return ProcessKind::live_local; }
  ProcessState state() override { return ProcessState::stopped; }
  std::uint64_t pid() override { return pid_; }
  std::uint64_t stop_id() override { return ++stops_; }
  std::string program_path() override { return "/proc/self/exe"; }
  bool is_x86_64() override { return true; }
  std::string debugger() override { return "self"; }
  std::optional<int> exit_status() override { return std::nullopt; }
  const Memory& memory() override { return memory_; }
  Result<Mappings> mappings() override { return read_mappings(pid()); }
  std::vector<ThreadState> thread_positions() override { return {}; }
  std::vector<ThreadState> threads() override { return {}; }
  std::vector<std::vector<SymbolFrame>> symbolize(std::span<const CodeAddress> addresses) override {
    return std::vector<std::vector<SymbolFrame>>(addresses.size(), {SymbolFrame{}});
  }
  std::optional<DataName> name_data(Address) override { return std::nullopt; }
  std::vector<FrameInfo> backtrace(std::uint64_t, bool) override { return {}; }
  Result<Address> evaluate(const std::string&) override { return fail("not here"); }
  void out(std::string_view) override {}
  bool interrupted() override { return false; }
  void progress(std::uint64_t, std::uint64_t, std::string_view) override {}

  Result<Address> allocate(std::uint64_t size, bool executable, AddressRange near) override {
    constexpr std::uint64_t kStep = 2 << 20;  // 1000 of them are within reach
    int protection = executable ? PROT_READ | PROT_EXEC : PROT_READ | PROT_WRITE;
    Address hint = near.empty() ? 0 : near.begin - kStep;
    for (int i = 0; i < 1000; ++i, hint -= kStep) {
      void* p = mmap(reinterpret_cast<void*>(hint), size, protection,
                     MAP_PRIVATE | MAP_ANONYMOUS | (hint == 0 ? 0 : MAP_FIXED_NOREPLACE), -1, 0);
      if (p != MAP_FAILED) return reinterpret_cast<Address>(p);
      if (hint == 0) break;
    }
    return fail("no memory near {:#x}", near.begin);
  }
  Result<void> write_code(Address address, std::span<const std::byte> bytes) override {
    Address page = address & ~Address{4095};
    std::size_t length = address + bytes.size() - page;
    if (mprotect(reinterpret_cast<void*>(page), length, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) {
      return fail("mprotect");
    }
    std::memcpy(reinterpret_cast<void*>(address), bytes.data(), bytes.size());
    mprotect(reinterpret_cast<void*>(page), length, PROT_READ | PROT_EXEC);
    return {};
  }
  Result<void> write_data(Address address, std::span<const std::byte> bytes) override {
    std::memcpy(reinterpret_cast<void*>(address), bytes.data(), bytes.size());
    return {};
  }
  std::vector<Address> breakpoints_in(AddressRange) override { return {}; }
  Result<void> set_pc(std::uint64_t, Address) override { return fail("not here"); }
  Result<std::uint64_t> call(Address, std::span<const std::uint64_t>) override {
    return fail("not here");
  }
  Result<void> announce(std::span<const std::byte>, Address, const std::string&) override {
    return {};
  }

 private:
  std::uint64_t pid_;
  LocalMemory memory_;
  std::uint64_t stops_ = 0;
};

}  // namespace heapledger::testing
