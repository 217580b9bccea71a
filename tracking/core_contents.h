// SPDX-License-Identifier: Apache-2.0
//
// What of a tracked process is left out of its core files, so that they are hardly larger than before: the
// agent does it (State::undumped). A core has no use for unwind rules and reserves, and a file for the text
// that was patched, of which the kernel would dump every page.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "inferior/mappings.h"
#include "inferior/target.h"
#include "tracking/agent_memory.h"
#include "tracking/patcher.h"

namespace heapledger {

// Memory of ours besides the agent's, and text of the program's. At most agent::kUndumped ranges count.
// Before the agent is active.
Result<void> leave_out_of_cores(TargetControl& control, const AgentMemory& agent,
                                std::span<const AddressRange> own, std::span<const AddressRange> text);

// The mappings of files in which hooks stand.
std::vector<AddressRange> patched_text(const std::vector<std::unique_ptr<InstalledHook>>& hooks,
                                       const Mappings& mappings);

}  // namespace heapledger
