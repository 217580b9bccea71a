// SPDX-License-Identifier: Apache-2.0
//
// The agent in the inferior: its image (R-X) and its data (RW), brought in by the debugger alone. No
// dlopen, no file, no call in the inferior: safe whatever locks its threads hold.
#pragma once

#include <vector>

#include "agent/protocol.h"
#include "inferior/target.h"

namespace heapledger {

struct AgentConfig {
  std::uint32_t granule_shift = 4;
  bool stacks = true;
  bool time = true;
  std::uint64_t max_bytes = 0;
  bool max_is_share = false;  // of what the process's own limits leave (memory_share.h)
  Address main_stack_end = 0;
};

Address main_stack_end(const Mappings& mappings);  // 0: not known

struct AgentMemory {
  Address image = 0;
  AddressRange image_range;
  AddressRange data_range;
  Address control = 0;
  Address state = 0;
  AddressRange rule_cache;  // of data_range
};

// Allocates, configures and writes; the agent stays inactive.
Result<AgentMemory> bring_agent_in(TargetControl& control, const AgentConfig& config);

// What of its arena is mapped; empty as long as nothing is.
AddressRange mapped_arena(const Memory& memory, const AgentMemory& agent);

// Control::active.
Result<void> set_active(TargetControl& control, const AgentMemory& agent, bool active);

// The agents that debugger sessions left in the process, also in the one it was forked from: each start
// brings one. The newest comes first. Another version of one is an Error.
Result<std::vector<AgentMemory>> find_agents(const Memory& memory, const Mappings& mappings);

}  // namespace heapledger
