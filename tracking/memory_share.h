// SPDX-License-Identifier: Apache-2.0
//
// What tracking may take of the room a process has. Limits were put there for the program, and what is
// left is still its own: the agent comes in only where its fixed part is a small share of that, and the
// ledger stops growing at a small share. Nothing has been done to the process when it is refused.
#pragma once

#include "inferior/target.h"
#include "tracking/agent_memory.h"

namespace heapledger {

// Sets `config`'s bound of the ledger, at most `wanted` bytes (0: no limit). An Error: there is too little
// room, in one line with the limit's name and numbers.
Result<void> limit_ledger(Target& target, const Mappings& mappings, std::uint64_t wanted,
                          AgentConfig& config);

}  // namespace heapledger
