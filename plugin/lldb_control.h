// SPDX-License-Identifier: Apache-2.0
//
// Changing a process through LLDB: memory, code, registers, calls of local ones; watched addresses
// anywhere.
#pragma once

#include <lldb/API/LLDB.h>

#include <string>

#include "inferior/target.h"
#include "plugin/announced_modules.h"
#include "plugin/lldb_target.h"
#include "plugin/watched_addresses.h"

namespace heapledger {

class LldbControl final : public TargetControl {
 public:
  explicit LldbControl(LldbTarget& target) : target_(target) {}

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

  // The process image is gone or was replaced: what was put into it no longer exists.
  void forget_process();
  // The process stands on after memory was allocated. lldb-server let a thread step through mmap, and the
  // kernel would go on stepping it into a SIGTRAP if the debugger were killed now: a call ends that.
  void end_stepping();
  // The process runs on now, which ends it too.
  void goes_on() { stepped_ = false; }
  const AnnouncedModules& announced() const { return announced_; }
  // Where hits of watched addresses go to.
  WatchedAddresses& watched() { return watched_; }

 private:
  Result<void> check_borrowed_threads();
  Result<Address> allocate_anywhere(std::uint64_t size, bool executable);
  Result<Address> map_near(std::uint64_t size, bool executable, AddressRange near);
  Result<Address> mmap_function();

  LldbTarget& target_;
  AnnouncedModules announced_;
  WatchedAddresses watched_;
  bool stepped_ = false;       // since the process stopped
  Address mmap_function_ = 0;  // a function of ours in the inferior: the system call
};

}  // namespace heapledger
