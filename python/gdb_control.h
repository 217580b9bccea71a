// SPDX-License-Identifier: Apache-2.0
//
// Changing a local process through gdb. At a loader event gdb holds one thread while the others run:
// nothing can be called then, so some memory is kept in reserve from the start.
#pragma once

#include <unordered_map>
#include <utility>
#include <vector>

#include "inferior/target.h"
#include "python/gdb_target.h"

namespace heapledger {

class GdbControl final : public TargetControl {
 public:
  explicit GdbControl(GdbTarget& target) : target_(target) {}

  bool all_stopped() override;
  bool dies_with_debugger() override;
  std::vector<AddressRange> reserves() override;
  Result<Address> allocate(std::uint64_t size, bool executable, AddressRange near) override;
  Result<void> write_code(Address address, std::span<const std::byte> bytes) override;
  Result<void> write_data(Address address, std::span<const std::byte> bytes) override;
  std::vector<Address> breakpoints_in(AddressRange range) override;
  Result<void> set_pc(std::uint64_t tid, Address pc) override;
  Result<std::uint64_t> call(Address function, std::span<const std::uint64_t> arguments) override;
  Result<void> announce(std::span<const std::byte> elf, Address base,
                        const std::string& name) override;
  Result<void> watch(Address address, WatchVisitor& visitor) override;
  void unwatch(Address address) override;
  // The breakpoint at a watched address was hit by the thread that gdb has selected.
  void reached(Address address);

  // A stop of all threads: what was used up while they ran is filled up again.
  void stopped();
  // The process image is gone or was replaced: what was put into it no longer exists.
  void forget_process();
  ~GdbControl() override;

 private:
  struct Reserve {
    AddressRange range;
    bool executable = false;
    Address next = 0;
  };
  Result<Address> from_reserve(std::uint64_t size, bool executable, AddressRange near);
  void fill_reserves();
  Result<Address> map(std::uint64_t size, bool executable, AddressRange near);
  Result<std::uint64_t> system_call(std::uint64_t number, std::span<const std::uint64_t> arguments);
  Result<Address> system_call_function();
  Result<std::uint64_t> first_mapping(std::span<const std::uint64_t> arguments);
  Result<std::uint64_t> call_in_program_text(std::span<const std::byte> code,
                                             std::span<const std::uint64_t> arguments);

  GdbTarget& target_;
  std::vector<Reserve> reserves_;
  Address system_call_function_ = 0;  // of ours, in the inferior
  std::unordered_map<Address, WatchVisitor*> watched_;
  std::vector<std::pair<int, std::string>> announced_;  // descriptor of the file in memory, its path
};

}  // namespace heapledger
