// SPDX-License-Identifier: Apache-2.0
//
// Hooks that an earlier debugger session installed, read back from the process: what this session tells its
// debugger of them, so that backtraces through them are right. They are not its own to take out: see
// restored_entries.h.
#pragma once

#include <memory>
#include <vector>

#include "inferior/mappings.h"
#include "inferior/memory.h"
#include "tracking/patcher.h"

namespace heapledger {

struct FoundHooks {
  std::vector<std::unique_ptr<InstalledHook>> hooks;
  std::vector<AddressRange> islands;  // the mappings their items lie in
};

// Of `functions`, those whose entry leads to an item (island.h) that is, to the byte, what a hook of it
// would have. What else stands there is nobody's that we know.
FoundHooks find_hooks(const Memory& memory, const Mappings& mappings,
                      const std::vector<HookRequest>& functions);

}  // namespace heapledger
