// SPDX-License-Identifier: Apache-2.0
#include "tracking/core_contents.h"

#include <algorithm>
#include <cstddef>

namespace heapledger {

Result<void> leave_out_of_cores(TargetControl& control, const AgentMemory& agent,
                                std::span<const AddressRange> own,
                                std::span<const AddressRange> text) {
  decltype(agent::State::undumped) pairs = {};
  std::size_t count = 0;
  const auto add = [&](AddressRange range, std::uint64_t flag) {
    if (count == agent::kUndumped) return;
    pairs[count][0] = range.begin | flag;
    pairs[count++][1] = range.end;
  };
  add(agent.rule_cache, 0);
  for (const AddressRange& range : own) add(range, 0);
  for (const AddressRange& range : text) add(range, agent::kText);
  return control.write_data(agent.state + offsetof(agent::State, undumped),
                            std::as_bytes(std::span(pairs)));
}

std::vector<AddressRange> patched_text(const std::vector<std::unique_ptr<InstalledHook>>& hooks,
                                       const Mappings& mappings) {
  std::vector<AddressRange> text;
  for (const auto& hook : hooks) {
    const Mapping* mapping = find_mapping(mappings, hook->patched);
    if (mapping == nullptr || !mapping->is_file()) continue;
    if (std::find(text.begin(), text.end(), mapping->range) == text.end()) text.push_back(mapping->range);
  }
  return text;
}

}  // namespace heapledger
