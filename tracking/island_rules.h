// SPDX-License-Identifier: Apache-2.0
//
// How to unwind from code in islands: a displaced instruction has, in its trampoline, the rule it had at
// home. For the agent as one table of an island's rules; for the debugger, which also has to know where
// registers of the caller went, as an ELF file.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "inferior/memory.h"
#include "tracking/code_map.h"
#include "tracking/patcher.h"

namespace heapledger {

// Rules of the hooks that lie in `island`, relative to its first byte.
std::shared_ptr<const UnwindTable> island_rules(
    AddressRange island, const std::vector<std::unique_ptr<InstalledHook>>& hooks,
    const CodeMap& code);

// The items of `hooks`, which lie in one island: symbols heapledger_stub_NAME and
// heapledger_trampoline_NAME. Empty when the items cannot be read. To be announced at 0.
std::vector<std::byte> island_image(const std::vector<const InstalledHook*>& hooks,
                                    const CodeMap& code, const Memory& memory);

}  // namespace heapledger
