// SPDX-License-Identifier: Apache-2.0
//
// A program that knows where the ledger is and writes into it what its first argument says, and random bytes
// by its second, a seed; then it stops. It allocates nothing any more, or the agent would meet them first.
//
//   nothing  nothing
//   words    any word of the ledger: numbers, pointers into it, flipped bits
//   blocks   a quarter of a million blocks, each with a stack of its own that is as long as can be
//   file     a file stands in the place of records: mapped over and over it would show any number of them
//   heap     malloc's own structures, and any word of the ledger
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/protocol.h"
#include "truth.h"

namespace agent = heapledger::agent;

void* volatile scribbled_blocks[1000];

namespace {

uint64_t random_state;

uint64_t random_number() {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return random_state >> 11 ^ random_state << 31;
}

char maps[1 << 20];

agent::State* find_state() {
  const int file = open("/proc/self/maps", O_RDONLY);
  size_t size = 0;
  for (ssize_t got; (got = read(file, maps + size, sizeof maps - 1 - size)) > 0;) size += size_t(got);
  close(file);
  for (char* line = maps; line != nullptr && *line != 0; line = strchr(line, '\n'), line += line != nullptr) {
    char* rest = line;
    const uint64_t begin = strtoull(line, &rest, 16), end = strtoull(rest + 1, &rest, 16);
    if (strncmp(rest, " rw-p 00000000 00:00 0", 22) != 0) continue;
    for (uint64_t page = begin; page < end; page += 4096) {
      auto* state = reinterpret_cast<agent::State*>(page);
      if (state->magic == agent::kMagic && state->size == sizeof(agent::State)) return state;
    }
  }
  return nullptr;
}

void damage(uint64_t* words, uint64_t count, const agent::State& ledger) {
  for (uint64_t i = 0; i < count; ++i) {
    switch (random_number() % 8) {
      case 0: words[i] = random_number(); break;
      case 1: words[i] = ledger.arena_begin + random_number() % (ledger.arena_next + 1) / 4096 * 4096; break;
      case 2: words[i] ^= uint64_t{1} << random_number() % 64; break;
      case 3: words[i] = ~uint64_t{0} >> random_number() % 64; break;
      default: break;
    }
  }
}

void scribble_words(agent::State* state) {
  damage(reinterpret_cast<uint64_t*>(state->arena_begin), state->arena_next / 8, *state);
  const agent::State before = *state;
  damage(&state->dropped, (sizeof(agent::State) - offsetof(agent::State, dropped)) / 8, before);
}

template <typename Visit>
void for_each_leaf(agent::State* state, Visit visit) {
  for (uint64_t table : state->directory) {
    for (uint64_t k = 0; table != 0 && k < agent::kTableSize; ++k) {
      const uint64_t leaf = reinterpret_cast<uint64_t*>(table)[k];
      if (leaf != 0) visit(leaf);
    }
  }
}

constexpr uint32_t kParts = 64;  // leaves, each with a chunk of nodes
constexpr uint64_t kLeafBytes = uint64_t{1} << agent::kLeafShift;  // of memory
static_assert(agent::kNodesPerChunk == kLeafBytes / 32);

// As the agent opens its arena.
uint64_t open_more(agent::State* state, uint64_t bytes) {
  const uint64_t place = state->arena_begin + state->arena_next;
  if (mmap(reinterpret_cast<void*>(place), bytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != reinterpret_cast<void*>(place)) {
    abort();
  }
  state->arena_next += bytes;
  state->arena_opened += bytes;
  return place;
}

// What its leaves cover.
char block_memory[(kParts + 1) * kLeafBytes] __attribute__((aligned(kLeafBytes)));

void scribble_blocks(agent::State* state) {
  uint64_t& table = state->directory[reinterpret_cast<uint64_t>(block_memory) >> agent::kTableShift];
  if (table == 0) table = open_more(state, agent::kTableSize * sizeof(uint64_t));
  uint32_t id = 0;
  for (uint32_t part = 0; part < kParts; ++part) {
    auto* nodes = reinterpret_cast<agent::Node*>(open_more(state, agent::kNodesPerChunk * sizeof(agent::Node)));
    state->nodes[part] = reinterpret_cast<uint64_t>(nodes);
    const uint64_t leaf = open_more(state, kLeafBytes >> state->granule_shift << 4);
    const uint64_t covered = reinterpret_cast<uint64_t>(block_memory) + part * kLeafBytes;
    reinterpret_cast<uint64_t*>(table)[covered >> agent::kLeafShift & (agent::kTableSize - 1)] = leaf;
    auto* slots = reinterpret_cast<agent::Slot*>(leaf);
    for (uint32_t i = 0; i < agent::kNodesPerChunk; ++i, ++id) {
      nodes[i] = {0x401000 + id * uint64_t{16}, id == 0 ? 0 : id - 1, 0};
      slots[i << (5 - state->granule_shift)] =
          agent::pack({true, false, agent::Kind::malloc, false, 0, 8, id, 0, id});
    }
  }
}

void scribble_file(agent::State* state) {
  const int file = memfd_create("slots", 0);
  if (file < 0 || ftruncate(file, 4096) != 0) abort();
  uint64_t leaf = 0;
  for_each_leaf(state, [&](uint64_t one) { leaf = one; });
  if (mmap(reinterpret_cast<void*>(leaf), 4096, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED) abort();
}

void scribble_heap(agent::State* state) {
  const agent::State before = *state;
  for (void* block : scribbled_blocks) damage(static_cast<uint64_t*>(block) - 2, 4, before);
  // The first chunk of the heap is the thread's cache.
  auto* heap = static_cast<char*>(sbrk(0)) - (132 << 10);
  damage(reinterpret_cast<uint64_t*>(heap), 80, before);
  scribble_words(state);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) return 2;
  for (unsigned i = 0; i < 1000; ++i) scribbled_blocks[i] = malloc(16 + i % 300);
  random_state = strtoull(arguments[2], nullptr, 10);
  agent::State* state = find_state();
  if (state == nullptr) return 3;
  const char what = arguments[1][0];
  if (what == 'w') scribble_words(state);
  if (what == 'b') scribble_blocks(state);
  if (what == 'f') scribble_file(state);
  if (what == 'h') scribble_heap(state);
  heapledger_stop_here();
  _exit(0);
}
