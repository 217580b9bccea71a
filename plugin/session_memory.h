// SPDX-License-Identifier: Apache-2.0
//
// Memory as LLDB reads it: core files and processes on other machines. Slow (tens of megabytes a
// second live), and LLDB up to 19 answers a read that runs into an unreadable page with nothing at
// all, so reads are cut at the regions' ends.
#pragma once

#include <lldb/API/LLDB.h>

#include <vector>

#include "inferior/mappings.h"
#include "inferior/memory.h"

namespace heapledger {

// The process's regions as LLDB tells them; names from the modules where the debugger has none
// (core files). Not readable ones are listed too.
Mappings session_mappings(lldb::SBTarget target);

class SessionMemory final : public Memory {
 public:
  SessionMemory(lldb::SBTarget target, Mappings mappings);
  std::size_t read_up_to(Address address, std::span<std::byte> out) const override;
  bool reads_in_parallel() const override { return false; }

 private:
  std::size_t read_within(Address address, std::span<std::byte> out) const;

  lldb::SBTarget target_;
  Mappings mappings_;
};

}  // namespace heapledger
