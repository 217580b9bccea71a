// SPDX-License-Identifier: Apache-2.0
//
// Memory as LLDB reads it: core files and processes on other machines. Slow (tens of megabytes a
// second live), and LLDB up to 19 answers a read that runs into an unreadable page with nothing at
// all, so reads are cut at the regions' ends.
#pragma once

#include <lldb/API/LLDB.h>

#include <optional>
#include <vector>

#include "inferior/mappings.h"
#include "inferior/memory.h"

namespace heapledger {

// The process's regions as LLDB tells them; names from the modules where the debugger has none
// (core files). Not readable ones are listed too.
Mappings session_mappings(lldb::SBTarget target);

class SessionMemory final : public Memory {
 public:
  // The regions are asked for when the first read does not come back whole: a stop at a watched address
  // reads a word or two, and gdbserver knows no regions.
  explicit SessionMemory(lldb::SBTarget target);
  std::size_t read_up_to(Address address, std::span<std::byte> out) const override;
  bool reads_in_parallel() const override { return false; }

 private:
  std::size_t read_some(Address address, std::span<std::byte> out) const;
  // Bytes from `address` on that a read may be tried on; 0: none.
  std::uint64_t readable_from(Address address) const;

  lldb::SBTarget target_;
  mutable std::optional<Mappings> mappings_;
};

}  // namespace heapledger
