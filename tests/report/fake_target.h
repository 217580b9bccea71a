// SPDX-License-Identifier: Apache-2.0
//
// A process made of bytes, for tests of what is above tracking/.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "inferior/target.h"

namespace heapledger::testing {

class FakeMemory final : public Memory {
 public:
  std::size_t read_up_to(Address address, std::span<std::byte> out) const override {
    auto after = segments.upper_bound(address);
    if (after == segments.begin()) return 0;
    const auto& [begin, bytes] = *--after;
    if (address - begin >= bytes.size()) return 0;
    const std::size_t n = std::min(out.size(), bytes.size() - std::size_t(address - begin));
    std::memcpy(out.data(), bytes.data() + (address - begin), n);
    return n;
  }
  std::map<Address, std::vector<std::byte>> segments;
};

class FakeTarget : public Target, public TargetControl {
 public:
  ProcessKind kind_ = ProcessKind::live_local;
  ProcessState state_ = ProcessState::stopped;
  std::uint64_t pid_ = 4711;
  std::uint64_t stop_ = 1;
  bool x86_64 = true;
  std::optional<int> exit_status_;
  FakeMemory memory_;
  Mappings mappings_;
  std::vector<ThreadState> threads_;
  std::map<Address, std::vector<SymbolFrame>> symbols;  // by the address that is looked up
  std::map<std::string, Address> expressions;
  std::string printed;
  bool interrupt = false;
  int symbolize_calls = 0;

  ProcessKind kind() override { return kind_; }
  ProcessState state() override { return state_; }
  std::uint64_t pid() override { return pid_; }
  std::uint64_t stop_id() override { return stop_; }
  std::string program_path() override { return "/usr/bin/app"; }
  bool is_x86_64() override { return x86_64; }
  std::string debugger() override { return "fake 1.0"; }
  std::optional<int> exit_status() override { return exit_status_; }

  const Memory& memory() override { return memory_; }
  Result<Mappings> mappings() override { return mappings_; }
  std::vector<ThreadState> thread_positions() override { return threads_; }
  std::vector<ThreadState> threads() override { return threads_; }
  std::vector<std::vector<SymbolFrame>> symbolize(std::span<const CodeAddress> wanted) override {
    ++symbolize_calls;
    std::vector<std::vector<SymbolFrame>> result;
    for (const CodeAddress& address : wanted) {
      const auto found = symbols.find(address.pc);
      result.push_back(found == symbols.end()
                           ? std::vector<SymbolFrame>{SymbolFrame{.address = address.pc}}
                           : found->second);
    }
    return result;
  }
  std::optional<DataName> name_data(Address) override { return std::nullopt; }
  std::vector<FrameInfo> backtrace(std::uint64_t, bool) override { return {}; }
  Result<Address> evaluate(const std::string& expression) override {
    const auto found = expressions.find(expression);
    if (found == expressions.end()) return fail("use of undeclared identifier '{}'", expression);
    return found->second;
  }
  void out(std::string_view text) override { printed += text; }
  bool interrupted() override { return interrupt; }
  void progress(std::uint64_t, std::uint64_t, std::string_view) override {}

  Result<Address> allocate(std::uint64_t, bool, AddressRange) override { return fail("no memory"); }
  Result<void> write_code(Address, std::span<const std::byte>) override { return fail("no write"); }
  Result<void> write_data(Address, std::span<const std::byte>) override { return fail("no write"); }
  std::vector<Address> breakpoints_in(AddressRange) override { return {}; }
  Result<void> set_pc(std::uint64_t, Address) override { return fail("no set_pc"); }
  Result<std::uint64_t> call(Address, std::span<const std::uint64_t>) override {
    return fail("no call");
  }
  Result<void> announce(std::span<const std::byte>, Address, const std::string&) override {
    return {};
  }

  // The function a return address lies in, as Target::symbolize answers for the call before it.
  void function(Address return_address, const std::string& name, std::uint64_t offset,
                const std::string& module, const std::string& file = "", std::uint32_t line = 0) {
    symbols[return_address - 1] = {SymbolFrame{.function = name,
                                               .file = file,
                                               .line = line,
                                               .module = module,
                                               .offset = offset - 1,
                                               .module_offset = 0x1000 + offset - 1,
                                               .address = return_address - 1}};
  }
};

}  // namespace heapledger::testing
