// SPDX-License-Identifier: Apache-2.0
//
// Unwind rules for the agent, compiled from a module's .eh_frame (or .debug_frame).
//
// Every row of the call frame information is reduced to agent::RuleBody: CFA from rsp or rbp plus a
// constant, rbp saved at CFA + 8n or unchanged. The rest is marked `bad` and counted. Sources: DWARF 5
// section 6.4, System V ABI x86-64 section 3.7; measured sizes in ARCHITECTURE.md.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/protocol.h"
#include "inferior/elf_file.h"
#include "inferior/result.h"

namespace heapledger {

struct UnwindTable {
  std::vector<std::uint32_t> offsets;  // sorted, relative to `base` (a link-time address)
  std::vector<std::uint16_t> index;    // offsets.size() entries into bodies
  std::vector<agent::RuleBody> bodies;  // distinct rules; gaps between FDEs have a `none` row
  std::uint64_t base = 0;              // link-time address the offsets are relative to
  std::uint32_t rows_not_expressible = 0;
  std::uint32_t fde_count = 0;
};

// A module without any call frame information gives an empty table, not an Error. .plt, .plt.sec and
// .plt.got sections without FDE get generated rules. A module larger than 4 GiB is an Error.
Result<UnwindTable> compile_unwind_rules(const ElfFile& elf);

// What the table says of a link-time address; `none` outside. The agent's own lookup, for tests and
// for the debugger side.
agent::RuleBody find_rule(const UnwindTable& table, std::uint64_t address);

}  // namespace heapledger
