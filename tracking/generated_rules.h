// SPDX-License-Identifier: Apache-2.0
//
// Unwind rules for code that has no call frame information but a known shape: procedure linkage
// tables (lld and mold describe none) and musl's return from a signal handler.
#pragma once

#include <span>
#include <vector>

#include "inferior/elf_file.h"
#include "tracking/frame_entries.h"

namespace heapledger {

// Entries of .plt, .plt.sec, .plt.got and .iplt, decoded one by one; what is not recognised is left
// out. System V ABI x86-64, section 5.2, and binutils' bfd/elf64-x86-64.c.
std::vector<FrameEntry> plt_entries(const ElfFile& elf);

// `mov $15, %rax; syscall` in executable bytes that `covered` (sorted, disjoint) leaves free.
std::vector<FrameEntry> signal_return_entries(const ElfFile& elf,
                                              std::span<const FrameEntry> covered);

}  // namespace heapledger
