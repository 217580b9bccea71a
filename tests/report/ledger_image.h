// SPDX-License-Identifier: Apache-2.0
//
// The agent's memory as it would stand in a process, written by hand from agent/protocol.h.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "agent/protocol.h"
#include "tests/report/fake_target.h"

namespace heapledger::testing {

class LedgerImage {
 public:
  static constexpr Address kState = 0x200000000000;
  static constexpr Address kArena = 0x210000000000;

  LedgerImage() : state_(std::make_unique<agent::State>()) {
    state_->magic = agent::kMagic;
    state_->version = agent::kVersion;
    state_->size = sizeof(agent::State);
    state_->granule_shift = 5;
    state_->flags = agent::kRecordStacks;
    state_->arena_begin = kArena;
    nodes_ = open(agent::kNodesPerChunk * sizeof(agent::Node));
    state_->nodes[0] = nodes_;
    records_ = open(agent::kThreadsPerChunk * sizeof(agent::ThreadRecord));
    state_->thread_records[0] = records_;
  }

  agent::State& state() { return *state_; }

  std::uint32_t thread(std::uint32_t tid) {
    const std::uint32_t index = ++state_->thread_count;  // 0 is "unknown"
    put(records_ + index * sizeof(agent::ThreadRecord), agent::ThreadRecord{tid, 0});
    return index;
  }

  // Return addresses, innermost first.
  std::uint32_t stack(const std::vector<Address>& frames) {
    std::uint32_t parent = 0;
    for (auto pc = frames.rbegin(); pc != frames.rend(); ++pc) {
      const std::uint32_t id = ++state_->node_count;  // 0 is "no stack"
      put(nodes_ + id * sizeof(agent::Node), agent::Node{*pc, parent, 0});
      parent = id;
    }
    return parent;
  }

  void block(Address start, std::uint64_t size, std::uint32_t stack, std::uint32_t thread = 0,
             agent::Kind kind = agent::Kind::malloc, bool truncated = false) {
    const Address slot = slot_of(start);
    put(slot, agent::pack({.valid = true,
                           .upper = (start & 16) != 0,
                           .kind = kind,
                           .truncated = truncated,
                           .size = size,
                           .stack = stack,
                           .thread = thread}));
  }

  // Zero filled, whole pages; and what to write there, for tests of what no agent would.
  Address open(std::size_t size) {
    const Address place = kArena + arena_.size();
    arena_.resize(arena_.size() + (size + 4095) / 4096 * 4096);
    return place;
  }
  template <typename T>
  void put(Address place, const T& value) {
    std::memcpy(arena_.data() + (place - kArena), &value, sizeof value);
  }

  // Puts everything into the memory of a process.
  void install(FakeMemory& memory) {
    state_->arena_next = arena_.size();
    state_->arena_opened = arena_.size();
    state_->arena_end = kArena + arena_.size();
    const auto* bytes = reinterpret_cast<const std::byte*>(state_.get());
    memory.segments[kState].assign(bytes, bytes + sizeof(agent::State));
    memory.segments[kArena] = arena_;
  }

 private:
  std::uint64_t word(Address place) const {
    std::uint64_t value;
    std::memcpy(&value, arena_.data() + (place - kArena), sizeof value);
    return value;
  }
  Address slot_of(Address start) {
    std::uint64_t& table = state_->directory[start >> agent::kTableShift];
    if (table == 0) table = open(agent::kTableSize * 8);
    const Address entry = table + ((start >> agent::kLeafShift) & (agent::kTableSize - 1)) * 8;
    if (word(entry) == 0) {
      const Address leaf = open((1u << (agent::kLeafShift - 5)) * sizeof(agent::Slot));
      put(entry, leaf);
    }
    const Address in_leaf = start & ((1u << agent::kLeafShift) - 1);
    return word(entry) + (in_leaf >> 5) * sizeof(agent::Slot);
  }

  std::unique_ptr<agent::State> state_;
  std::vector<std::byte> arena_;
  Address nodes_ = 0;
  Address records_ = 0;
};

}  // namespace heapledger::testing
