// SPDX-License-Identifier: Apache-2.0
//
//   directory[a >> kTableShift] -> table[a >> kMappingLeafShift & ...] -> leaf[a >> 12 & ...]
//
// A leaf is a page and covers 4 MiB; where there is none a walk goes on behind those 4 MiB, or 8 GiB.
#include "agent/mapping_index.h"

namespace heapledger::agent {
namespace {

constexpr uint64_t kLeafMask = kMappingLeafSize - 1, kTableMask = kMappingTableSize - 1;

uint64_t* table_of(State* s, uint64_t address) {
  uint64_t directory = load(s->mapping_index);
  if (directory == 0) return nullptr;
  return reinterpret_cast<uint64_t*>(
      load(reinterpret_cast<uint64_t*>(directory)[address >> kTableShift]));
}

// The leaf of `address`, or how many bits of address are empty around it.
struct Leaf {
  uint32_t* entries;
  unsigned gap;
};
Leaf leaf_of(State* s, uint64_t address) {
  uint64_t* table = table_of(s, address);
  if (table == nullptr) return {nullptr, kTableShift};
  uint64_t leaf = load(table[address >> kMappingLeafShift & kTableMask]);
  return {reinterpret_cast<uint32_t*>(leaf), kMappingLeafShift};
}

}  // namespace

uint32_t* find_mapping_entry(State* s, uint64_t address) {
  uint32_t* leaf = leaf_of(s, address).entries;
  return leaf == nullptr ? nullptr : &leaf[address / kPage & kLeafMask];
}

uint32_t* make_mapping_entry(State* s, uint64_t address) {
  auto child = [s](uint64_t parent, uint64_t i, uint64_t bytes) {
    return parent == 0 ? 0 : arena_object(s, reinterpret_cast<uint64_t*>(parent)[i], bytes);
  };
  uint64_t directory = arena_object(s, s->mapping_index, kDirectorySize * sizeof(uint64_t));
  uint64_t table = child(directory, address >> kTableShift, kMappingTableSize * sizeof(uint64_t));
  uint64_t leaf = child(table, address >> kMappingLeafShift & kTableMask,
                        kMappingLeafSize * sizeof(uint32_t));
  return leaf == 0 ? nullptr : reinterpret_cast<uint32_t*>(leaf) + (address / kPage & kLeafMask);
}

MappingBegin first_mapping_from(State* s, uint64_t begin, uint64_t end) {
  for (uint64_t a = begin; a < end;) {
    Leaf leaf = leaf_of(s, a);
    if (leaf.entries == nullptr) {
      a = ((a >> leaf.gap) + 1) << leaf.gap;
      continue;
    }
    do {
      uint32_t record = load(leaf.entries[a / kPage & kLeafMask]);
      if (record != 0) return {a, record};
      a += kPage;
    } while (a < end && (a / kPage & kLeafMask) != 0);
  }
  return {};
}

MappingBegin last_mapping_before(State* s, uint64_t end, uint64_t low, uint32_t& steps) {
  for (uint64_t a = end; a > low && steps > 0; --steps) {
    Leaf leaf = leaf_of(s, a - kPage);
    if (leaf.entries == nullptr) {
      a = (a - kPage) >> leaf.gap << leaf.gap;
      continue;
    }
    a -= kPage;
    uint32_t record = load(leaf.entries[a / kPage & kLeafMask]);
    if (record != 0) return {a, record};
  }
  return {};
}

}  // namespace heapledger::agent
