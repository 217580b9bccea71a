// SPDX-License-Identifier: Apache-2.0
//
// Memory of a core file, read from the file itself: its PT_LOAD segments, and the modules' files for
// what the kernel does not dump (text and read-only data of mapped files, core(5) coredump_filter).
#pragma once

#include <memory>
#include <vector>

#include "inferior/elf_file.h"
#include "inferior/memory.h"

namespace heapledger {

class CoreMemory final : public Memory {
 public:
  struct Backing {  // a module that was mapped in the process
    AddressRange range;
    Address bias = 0;
    std::shared_ptr<const ElfFile> elf;
  };
  CoreMemory(std::shared_ptr<const ElfFile> core, std::vector<Backing> modules);

  std::size_t read_up_to(Address address, std::span<std::byte> out) const override;

 private:
  struct Piece {
    Address begin;
    std::span<const std::byte> bytes;
  };
  std::span<const std::byte> from_core(Address address) const;
  std::span<const std::byte> from_modules(Address address, std::size_t size) const;

  std::shared_ptr<const ElfFile> core_;
  std::vector<Backing> modules_;
  std::vector<Piece> pieces_;  // sorted; what is in the file of each segment
};

}  // namespace heapledger
