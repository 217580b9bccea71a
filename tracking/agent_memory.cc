// SPDX-License-Identifier: Apache-2.0
#include "tracking/agent_memory.h"

#include <x86intrin.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "tracking/agent_image.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kRuleBuckets = 4096;  // 16384 rules: a compiler run meets 12771 return addresses
constexpr std::uint64_t round_up(std::uint64_t n) { return (n + kPage - 1) / kPage * kPage; }

constexpr std::uint64_t kStateSize = round_up(sizeof(agent::State));
constexpr std::uint64_t kRulesSize = kRuleBuckets * sizeof(agent::RuleBucket);

// Everything up to the counters; the rest starts as zeros.
agent::State* configured(const AgentConfig& c, Address rules) {
  static agent::State state;
  std::memset(&state, 0, offsetof(agent::State, odd));
  state.magic = agent::kMagic;
  state.version = agent::kVersion;
  state.size = sizeof(agent::State);
  state.granule_shift = c.granule_shift;
  state.flags = (c.stacks ? agent::kRecordStacks : 0u) | (c.time ? agent::kRecordTime : 0u) |
                (c.max_is_share ? agent::kMaxIsShare : 0u);
  state.main_stack_end = agent::encode(c.main_stack_end);
  state.start_tsc = __rdtsc();
  state.rules = rules;
  state.rule_mask = kRuleBuckets - 1;
  state.max_bytes = c.max_bytes;
  return &state;
}

}  // namespace

Address main_stack_end(const Mappings& mappings) {
  for (const Mapping& m : mappings) {
    if (m.name == "[stack]") return m.range.end;
  }
  return 0;
}

Result<AgentMemory> bring_agent_in(TargetControl& control, const AgentConfig& config) {
  const AgentImage& image = AgentImage::embedded();
  auto code = control.allocate(image.size(), true, {});
  if (!code) return fail("cannot bring the agent in: {}", code.error().message);
  std::uint64_t data_size = kPage + kStateSize + kRulesSize;
  auto data = control.allocate(data_size, false, {});
  if (!data) return fail("cannot bring the agent in: {}", data.error().message);

  AgentMemory agent;
  agent.image = *code;
  agent.image_range = {*code, *code + image.size()};
  agent.data_range = {*data, *data + data_size};
  agent.control = *data;
  agent.state = *data + kPage;
  agent.rule_cache = {agent.state + kStateSize, agent.state + kStateSize + kRulesSize};
  const agent::State* state = configured(config, agent.rule_cache.begin);
  auto head = std::as_bytes(std::span(state, 1)).first(offsetof(agent::State, odd));
  if (auto done = control.write_data(agent.state, head); !done) return tl::unexpected(done.error());
  auto done = control.write_code(agent.image, image.place(agent.image, agent.control, agent.state));
  if (!done) return tl::unexpected(done.error());
  return agent;
}

AddressRange mapped_arena(const Memory& memory, const AgentMemory& agent) {
  const auto word = [&](std::size_t offset) {
    return memory.read_value<std::uint64_t>(agent.state + offset).value_or(0);
  };
  const Address begin = word(offsetof(agent::State, arena_begin));
  const Address end = word(offsetof(agent::State, arena_end));
  if (begin == 0 || begin >= end) return {};
  return {begin, begin + std::min(word(offsetof(agent::State, arena_next)), end - begin)};
}

Result<void> set_active(TargetControl& control, const AgentMemory& agent, bool active) {
  std::uint32_t word = active ? 1 : 0;
  return control.write_data(agent.control + offsetof(agent::Control, active),
                            std::as_bytes(std::span(&word, 1)));
}

Result<std::vector<AgentMemory>> find_agents(const Memory& memory, const Mappings& mappings) {
  constexpr std::uint64_t kMostLooks = 1 << 20;  // pages: 4 GiB of what programs compile themselves
  const AgentImage& image = AgentImage::embedded();
  std::vector<std::pair<std::uint64_t, AgentMemory>> found;  // with the time of its start
  std::uint64_t looks = kMostLooks;
  for (const Mapping& m : mappings) {
    if (m.is_file() || !m.readable || !m.executable || m.writable) continue;
    // The debugger may have mapped more than asked for: look at every page that could begin an image.
    for (Address base = m.range.begin; m.range.end - base >= kPage && looks != 0; base += kPage) {
      --looks;
      auto header = memory.read_value<agent::Header>(base + image.header_offset());
      if (!header || header->magic != agent::kMagic || header->image_begin != base) continue;
      if (header->version != agent::kVersion) {
        return fail("the process holds a ledger of another version ({}, this is {})",
                    header->version, agent::kVersion);
      }
      auto state = memory.read_value<std::uint64_t>(header->state);
      if (!state || *state != agent::kMagic) continue;
      AgentMemory agent;
      agent.image = base;
      agent.image_range = {base, header->image_end};
      agent.control = header->control;
      agent.state = header->state;
      agent.rule_cache = {agent.state + kStateSize, agent.state + kStateSize + kRulesSize};
      agent.data_range = {header->control, agent.rule_cache.end};
      const auto start =
          memory.read_value<std::uint64_t>(agent.state + offsetof(agent::State, start_tsc));
      found.emplace_back(start.value_or(0), agent);
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<AgentMemory> agents;
  for (const auto& [start, agent] : found) agents.push_back(agent);
  return agents;
}

}  // namespace heapledger
