// SPDX-License-Identifier: Apache-2.0
//
// The entries of .eh_frame and .debug_frame: which functions have call frame information and where
// its instructions are. Entries are split by libdw (dwarf_next_cfi); pointer encodings and
// augmentations after the Linux Standard Base, section 10.6.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tracking/cfa_program.h"

namespace heapledger {

struct FrameSection {
  std::span<const std::byte> bytes;
  std::uint64_t address = 0;  // link-time; pc-relative pointers count from here
  bool eh_frame = true;       // false: .debug_frame
  bool sized = true;          // false: `bytes` may run on past the terminator
};

struct Cie {
  CfaContext context;
  bool usable = false;              // understood, and its return address column is rip
  bool signal = false;              // augmentation S: the frame of a signal handler's return
  bool augmented = false;           // augmentation z: FDEs carry their data's size
  std::uint64_t fde_data_size = 0;  // when not augmented
};

struct FrameEntry {         // an FDE, or a stretch of code whose rule is known otherwise
  std::uint64_t begin = 0;  // link-time addresses, half-open, never empty
  std::uint64_t end = 0;
  std::uint32_t cie = 0;                      // index
  std::optional<agent::RuleBody> fixed = {};  // the rule of all of it; `program` is then not used
  std::span<const std::byte> program = {};
  std::uint64_t program_address = 0;
};

struct FrameEntries {
  std::vector<Cie> cies;
  std::vector<FrameEntry> entries;  // as they stand in the section
};

// Damaged entries are left out. Work is linear in the size of the section.
FrameEntries parse_frame_entries(const FrameSection& section);

}  // namespace heapledger
