// SPDX-License-Identifier: Apache-2.0
//
// TargetControl over the SB API: what changes the inferior.
#pragma once

#include <string>
#include <vector>

#include "inferior/target.h"
#include "plugin/lldb_target.h"

namespace heapledger::plugin {

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

  // The process is gone: what was announced of it is taken back.
  void forget();

 private:
  Result<Address> allocate_anywhere(std::uint64_t size, std::uint32_t permissions);
  Result<Address> allocate_near(std::uint64_t size, bool executable, AddressRange near);

  LldbTarget& target_;
  struct Announced {
    lldb::SBModule module;
    int file;  // memfd; LLDB reads it by path when it wants to
  };
  std::vector<Announced> announced_;
};

}  // namespace heapledger::plugin
