// SPDX-License-Identifier: Apache-2.0
//
// The debug information of a file, read by elfutils: what it gives is not believed either.
#include "inferior/debug_file.h"

#include "tests/fuzz/in_memory.h"

using namespace heapledger;

// elfutils 0.188 loses 32 bytes where it looks for the split part of a damaged unit.
extern "C" const char* __lsan_default_suppressions() { return "leak:libdw.so"; }

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::InMemory file({data, size});
  const auto elf = ElfFile::open(file.path());
  if (!elf) return 0;
  const DebugFile debug(*elf, "/nowhere");
  std::vector<std::uint64_t> addresses{0, (*elf)->entry()};
  for (const ElfSegment& segment : (*elf)->segments()) {
    for (const std::uint64_t offset : {0x0, 0x10, 0x40, 0x100, 0x1000}) {
      addresses.push_back(segment.address + offset);
    }
  }
  for (const std::uint64_t address : std::span(addresses).first(std::min<std::size_t>(addresses.size(), 64))) {
    fuzz::require(!debug.frames(address).empty());
    debug.data(address);
  }
  return 0;
}
