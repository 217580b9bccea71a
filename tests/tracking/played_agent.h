// SPDX-License-Identifier: Apache-2.0
//
// A ledger in this process's own memory, written as agent/protocol.h says by a test that plays the
// agent. Addresses of blocks are only numbers: nothing is at them.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/protocol.h"
#include "inferior/local_memory.h"
#include "tracking/ledger.h"

namespace heapledger {

class PlayedAgent {
 public:
  explicit PlayedAgent(unsigned granule_shift = 5, std::uint64_t arena_bytes = 256 << 20)
      : arena_bytes_(arena_bytes) {
    arena_ = static_cast<std::byte*>(mmap(nullptr, arena_bytes, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    state = std::make_unique<agent::State>();
    state->magic = agent::kMagic;
    state->version = agent::kVersion;
    state->size = sizeof(agent::State);
    state->granule_shift = granule_shift;
    state->arena_begin = reinterpret_cast<Address>(arena_);
    state->arena_end = state->arena_begin + arena_bytes;
  }
  ~PlayedAgent() { munmap(arena_, arena_bytes_); }
  PlayedAgent(const PlayedAgent&) = delete;

  Address address() const { return reinterpret_cast<Address>(state.get()); }
  Result<Ledger> try_read() const {
    return Ledger::read(LocalMemory(std::uint64_t(getpid())), address());
  }
  Ledger read() const {
    auto ledger = try_read();
    EXPECT_TRUE(ledger) << (ledger ? "" : ledger.error().message);
    return ledger ? std::move(*ledger) : Ledger{};
  }

  Address open(std::uint64_t bytes) {
    const Address place = state->arena_begin + state->arena_next;
    state->arena_next += (bytes + 4095) / 4096 * 4096;
    state->arena_opened = state->arena_next;
    return place;
  }
  template <typename T>
  T* object(std::uint64_t& pointer, std::uint64_t count = 1) {
    if (pointer == 0) pointer = open(count * sizeof(T));
    return reinterpret_cast<T*>(pointer);
  }

  std::uint64_t* leaf_pointer(Address block) {
    auto* table =
        object<std::uint64_t>(state->directory[block >> agent::kTableShift], agent::kTableSize);
    return &table[block >> agent::kLeafShift & (agent::kTableSize - 1)];
  }
  agent::Slot* slot(Address block) {
    const unsigned shift = state->granule_shift;
    auto* leaf = object<agent::Slot>(*leaf_pointer(block), 1u << (agent::kLeafShift - shift));
    return &leaf[(block & ((1u << agent::kLeafShift) - 1)) >> shift];
  }
  void insert(Address block, agent::Entry entry) {
    entry.upper = state->granule_shift == 5 && (block & 16) != 0;
    *slot(block) = agent::pack(entry);
    ++main()->allocations;
  }
  void insert(Address block, std::uint64_t size, agent::Kind kind = agent::Kind::malloc,
              StackId stack = 0, std::uint32_t thread = 0, std::uint32_t time = 0) {
    insert(block, {true, false, kind, false, 0, size, stack, thread, time});
  }
  void insert_odd(Address block, std::uint64_t size) {
    auto* segment = object<agent::OddEntry>(state->odd[0], agent::kOddFirst);
    segment[state->odd_count++ % agent::kOddFirst] = {
        agent::encode(block),
        agent::pack({true, false, agent::Kind::malloc, false, 0, size, 0, 0, 0})};
  }
  StackId node(Address pc, StackId parent, std::uint16_t incarnation = 0) {
    const StackId id = ++state->node_count;
    auto* chunk =
        object<agent::Node>(state->nodes[id / agent::kNodesPerChunk], agent::kNodesPerChunk);
    chunk[id % agent::kNodesPerChunk] = {pc | std::uint64_t(incarnation) << 48, parent};
    return id;
  }
  std::uint32_t thread_record(std::uint32_t tid) {
    const std::uint32_t index = ++state->thread_count;
    auto* chunk = object<agent::ThreadRecord>(
        state->thread_records[index / agent::kThreadsPerChunk], agent::kThreadsPerChunk);
    chunk[index % agent::kThreadsPerChunk] = {tid, 0};
    return index;
  }
  agent::MappingRecord* mapping(std::uint64_t sequence, agent::Kind kind, Address begin,
                                std::uint64_t length) {
    const std::uint32_t index = state->mapping_count++;
    auto* chunk = object<agent::MappingRecord>(state->mappings[index / agent::kMappingsPerChunk],
                                               agent::kMappingsPerChunk);
    auto* record = &chunk[index % agent::kMappingsPerChunk];
    record->sequence = sequence;
    record->begin = agent::encode(begin);
    record->length = length;
    record->kind = std::uint32_t(kind);
    record->state = std::uint32_t(agent::MappingState::live);
    return record;
  }
  agent::Thread* thread(unsigned i) {
    state->threads[i].tcb = agent::encode(0x7f0000000000 + 0x1000 * i);
    return object<agent::Thread>(state->threads[i].thread);
  }
  agent::Thread* main() { return main_ == nullptr ? main_ = thread(1) : main_; }

  std::unique_ptr<agent::State> state;

 private:
  std::uint64_t arena_bytes_;
  std::byte* arena_;
  agent::Thread* main_ = nullptr;
};

// "0x1000+16 malloc" a line, mapped segments in brackets, reallocs in progress with a question
// mark.
inline std::string text(const Ledger& ledger) {
  static const std::map<agent::Kind, std::string> kNames{{agent::Kind::malloc, "malloc"},
                                                         {agent::Kind::calloc, "calloc"},
                                                         {agent::Kind::realloc, "realloc"},
                                                         {agent::Kind::operator_new, "new"},
                                                         {agent::Kind::operator_new_array, "new[]"},
                                                         {agent::Kind::mmap, "mmap"},
                                                         {agent::Kind::mremap, "mremap"},
                                                         {agent::Kind::shmat, "shmat"}};
  std::vector<Allocation> all;  // in order of address, segments before what they enclose
  for (std::size_t i = 0; i < ledger.count(); ++i) all.push_back(ledger.allocation(i));
  std::stable_sort(all.begin(), all.end(), [](const Allocation& a, const Allocation& b) {
    return a.block.start < b.block.start;
  });
  std::string out;
  for (const Allocation& a : all) {
    const auto name = kNames.find(a.kind);
    std::string line = fmt::format("{:#x}+{:#x} {}", a.block.start, a.block.size,
                                   name == kNames.end() ? "?" : name->second);
    if (a.untracked) line = fmt::format("{:#x}+{:#x} untracked", a.block.start, a.block.size);
    if (a.mapped) line = "[" + line + "]";
    out += line + (a.in_flight ? "?" : "") + (a.truncated ? " truncated" : "") + "\n";
  }
  return out;
}

// Program counters of a stack, innermost first.
inline std::vector<Address> pcs(const Ledger& ledger, StackId id) {
  std::vector<Address> out;
  for (const CodeAddress& frame : ledger.stack(id)) out.push_back(frame.pc);
  return out;
}

// The thread is inside a call of `kind`; of a realloc, with the old block taken out.
inline void put_in_flight(agent::Thread* thread, agent::Kind kind, Address block,
                          std::uint64_t size) {
  thread->in_flight_kind = std::uint32_t(kind);
  thread->in_flight_block = block == 0 ? 0 : agent::encode(block);
  thread->in_flight_slot = agent::pack({false, false, agent::Kind::malloc, false, 0, size, 0, 0, 0});
}

}  // namespace heapledger
