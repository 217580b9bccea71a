// SPDX-License-Identifier: Apache-2.0
//
// Memory through SBProcess, for cores and remote processes. Reads are clamped to regions: LLDB up to
// 19 returns nothing at all for a read that crosses into an unreadable page.
#pragma once

#include "inferior/memory.h"
#include "plugin/lldb_api.h"

namespace heapledger::plugin {

class SbMemory final : public Memory {
 public:
  SbMemory(lldb::SBTarget target, lldb::SBProcess process) : target_(target), process_(process) {}
  std::size_t read_up_to(Address address, std::span<std::byte> out) const override;

 private:
  mutable lldb::SBTarget target_;
  mutable lldb::SBProcess process_;
};

}  // namespace heapledger::plugin
