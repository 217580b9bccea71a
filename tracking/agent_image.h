// SPDX-License-Identifier: Apache-2.0
//
// The agent's image as this library carries it: an ELF file without relocations whose one segment is
// written into the inferior as it stands, with the header's addresses filled in.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "agent/protocol.h"
#include "inferior/address.h"
#include "inferior/elf_file.h"
#include "inferior/result.h"
#include "tracking/unwind_rules.h"

namespace heapledger {

class AgentImage {
 public:
  // The image that was linked in; the same object every time.
  static const AgentImage& embedded();

  const ElfFile& elf() const { return *elf_; }
  std::span<const std::byte> file() const { return elf_->bytes(); }
  std::uint64_t size() const { return segment_.size(); }   // bytes of the segment, page aligned
  // Offset in the image of the hook of `shape`.
  std::uint64_t hook(agent::Shape shape) const;
  std::uint64_t header_offset() const { return header_; }
  // Of the code that _exit is led to, and of the place in it to stop at (agent/exit_gate.S).
  std::uint64_t exit_gate() const { return symbol("heapledger_exit_gate"); }
  std::uint64_t exit_stop() const { return symbol("heapledger_exit_stop"); }

  // Of the image's code, by offset in it.
  const std::shared_ptr<const UnwindTable>& rules() const { return rules_; }

  // The segment with its header filled in, for an image at `base`.
  std::vector<std::byte> place(Address base, Address control, Address state) const;

 private:
  AgentImage();
  std::uint64_t symbol(const char* name) const;

  std::shared_ptr<const ElfFile> elf_;
  std::vector<std::byte> segment_;
  std::shared_ptr<const UnwindTable> rules_;
  std::uint64_t header_ = 0;
};

}  // namespace heapledger
