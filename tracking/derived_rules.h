// SPDX-License-Identifier: Apache-2.0
//
// Unwind rules of functions without call frame information (musl has none), derived from their code.
//
// Where the stack pointer stands is followed through every path of a function: from its entry, where
// the return address is at rsp, along falls and jumps to its returns, where it must be there again. A
// function whose paths contradict each other - another depth at one place, a return at another depth, a
// caller's rbp that is lost - gets no rule at all, and code that is not reached (behind jump tables)
// gets none: no rule is better than a wrong one.
//
// Functions are the sized function symbols, and what those call or jump to as a call would.
#pragma once

#include <span>
#include <vector>

#include "inferior/elf_file.h"
#include "tracking/frame_entries.h"

namespace heapledger {

// Rules for code that `covered` (sorted, disjoint) leaves free; none where little is free.
std::vector<FrameEntry> derived_entries(const ElfFile& elf, std::span<const FrameEntry> covered);

}  // namespace heapledger
