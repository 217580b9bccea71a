// SPDX-License-Identifier: Apache-2.0
//
// Memory of a live process on this machine: process_vm_readv(2), which runs at several GB/s where a
// debugger's own read call reaches 0.03-0.08, and which also works while the process runs.
//
// It shows raw bytes: a debugger's breakpoint traps (0xcc) in text are visible. The kernel maps the
// zero page where an untouched anonymous page is read.
#pragma once

#include "inferior/memory.h"

namespace heapledger {

class LocalMemory final : public Memory {
 public:
  explicit LocalMemory(std::uint64_t pid) : pid_(pid) {}
  std::size_t read_up_to(Address address, std::span<std::byte> out) const override;

  // Writes data pages (process_vm_writev; honours page protection). For text use Target::write_code.
  Result<void> write(Address address, std::span<const std::byte> bytes) const;

 private:
  std::uint64_t pid_;
};

}  // namespace heapledger
