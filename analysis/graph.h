// SPDX-License-Identifier: Apache-2.0
//
// What the passes of a scan work on: blocks, the pointers between them, the pointers from roots, and
// per block eight bytes (row and parent) and one (verdict and heuristic).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "analysis/analysis.h"
#include "analysis/block_index.h"
#include "analysis/edge_store.h"
#include "analysis/huge_array.h"
#include "analysis/verdict.h"

namespace heapledger {

// Who reached a block first. Reachable blocks: a block number, or kRootParent | position in
// Graph::entries. Lost blocks: the head of their group.
inline constexpr std::uint32_t kNoParent = UINT32_MAX;
inline constexpr std::uint32_t kRootParent = 1u << 31;

struct Node {
  Row row = kEmptyRow;
  std::uint32_t parent = kNoParent;
};

// A word of a root that points to a block.
struct RootWord {
  std::uint32_t target = 0;
  std::uint32_t position = 0;  // words from the piece's base; registers: index into Root::words
  std::uint32_t offset = 0;    // as in an interior edge of EdgeStore; 0 for start pointers
  bool interior() const { return offset != 0; }
  Edge edge() const {
    return {target, interior(), static_cast<Heuristic>(offset >> 29), offset & EdgeStore::kMaxOffset};
  }
};

struct RootPiece {
  std::uint32_t root = 0;  // index into RootSet::roots
  Address base = 0;
  bool in_register = false;
  std::vector<RootWord> words;
};

struct RootEntry {  // the root word by which a block was reached first
  Address slot = 0;  // or index of the register word
  std::uint32_t root = 0;
  bool in_register = false;
};

struct Graph {
  std::span<const Block> blocks;
  BlockIndex index;
  HugeArray<Node> nodes;
  EdgeStore edges;
  std::vector<RootPiece> root_pieces;  // strongest root kind first
  std::vector<RootEntry> entries;
  HugeArray<std::uint8_t> verdicts;    // Verdict | Heuristic << 3

  Verdict verdict(std::uint32_t b) const { return static_cast<Verdict>(verdicts[b] & 7); }
  Heuristic heuristic(std::uint32_t b) const { return static_cast<Heuristic>(verdicts[b] >> 3); }
  void set(std::uint32_t b, Verdict v, Heuristic h = Heuristic::none) {
    verdicts[b] = static_cast<std::uint8_t>(static_cast<unsigned>(v) | static_cast<unsigned>(h) << 3);
  }
  bool reached(std::uint32_t b) const { return nodes[b].parent != kNoParent; }
  std::uint32_t count() const { return static_cast<std::uint32_t>(blocks.size()); }
};

// What the first words of a block say, gathered while it is streamed by: which heuristics would
// accept a pointer to which offset.
struct BlockTraits {
  static constexpr std::uint8_t kLength64 = 1;     // at +8
  static constexpr std::uint8_t kNewArray = 2;     // at +8
  static constexpr std::uint8_t kStdString = 4;    // at +24
  static constexpr std::uint8_t kMaybeVtable = 8;  // first word points into a readable file mapping
  static constexpr std::uint8_t kEmptyArray = 16;  // new T[0] with a cookie: one past the end counts
};

// Said to the caller now and then while a pass works; false: stop.
using Progress = std::function<bool(std::uint64_t, std::uint64_t, std::string_view)>;

}  // namespace heapledger
