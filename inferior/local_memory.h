// SPDX-License-Identifier: Apache-2.0
//
// Memory of a live process on this machine: process_vm_readv(2), which runs at several GB/s where a
// debugger's own read call reaches 0.03-0.08, and which also works while the process runs. Where that call
// is not to be had (a kernel built without it, a filter of system calls around the debugger) it is
// /proc/PID/mem, at about the same speed.
//
// It shows raw bytes: a debugger's breakpoint traps (0xcc) in text are visible. The kernel maps the
// zero page where an untouched anonymous page is read.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "inferior/memory.h"

namespace heapledger {

class LocalMemory final : public Memory {
 public:
  explicit LocalMemory(std::uint64_t pid);
  ~LocalMemory() override;
  LocalMemory(const LocalMemory&) = delete;
  LocalMemory& operator=(const LocalMemory&) = delete;

  std::size_t read_up_to(Address address, std::span<std::byte> out) const override;
  // False: neither way may be used on this process. Only its debugger can read it then.
  bool allowed() const;

  // Writes data pages (process_vm_writev; honours page protection). For text use Target::write_code.
  Result<void> write(Address address, std::span<const std::byte> bytes) const;

 private:
  struct File;
  // The count of bytes, or an errno, negative.
  long read_some(Address address, std::span<std::byte> out) const;
  long read_file(Address address, std::span<std::byte> out) const;
  std::shared_ptr<const File> file(const File* stale = nullptr) const;

  std::uint64_t pid_;
  mutable std::atomic<bool> by_file_ = false;  // the call is not to be had
  mutable std::mutex opening_;
  mutable std::shared_ptr<const File> file_;
};

}  // namespace heapledger
