// SPDX-License-Identifier: Apache-2.0
//
// The pointers of the graph, four bytes each: a row of words per block, written by several threads,
// never moved. A word:
//
//   31      interior: the next word holds the heuristic (31..29) and the offset in bytes (28..0, at
//           most kMaxOffset) of the pointer in its target
//   30      last word of its row
//   28..0   target block, or
//           kJump: the next word is the position where the row goes on
//           kEnd:  the row ends here without another edge (the next word is unused)
//           kVoid: no edge (an interior pointer that turned out to be none)
//
// A position is a word's number: chunk << 20 | place in the chunk. A block with a single start pointer,
// the usual case in lists, has no row at all: its Row holds the target.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "analysis/huge_array.h"
#include "analysis/verdict.h"

namespace heapledger {

inline constexpr std::uint32_t kMaxBlocks = (1u << 29) - 16;

// What a block keeps to find its edges: nothing, one start pointer, or the position of its row.
using Row = std::uint32_t;
inline constexpr Row kEmptyRow = UINT32_MAX;
inline constexpr Row kInlineRow = 1u << 31;

struct Edge {
  std::uint32_t target = 0;
  bool interior = false;                     // as found in memory
  Heuristic heuristic = Heuristic::none;     // not none: counts as a start pointer
  std::uint32_t offset = 0;                  // of the pointer in its target
  bool is_start() const { return !interior || heuristic != Heuristic::none; }
};

class EdgeStore {
 public:
  static constexpr std::uint32_t kInterior = 1u << 31;
  static constexpr std::uint32_t kLast = 1u << 30;
  static constexpr std::uint32_t kTarget = (1u << 29) - 1;
  static constexpr std::uint32_t kJump = kTarget;
  static constexpr std::uint32_t kEnd = kTarget - 1;
  static constexpr std::uint32_t kVoid = kTarget - 2;
  static constexpr std::uint32_t kMaxOffset = (1u << 29) - 1;
  static constexpr unsigned kChunkShift = 20;
  static constexpr std::uint32_t kChunkWords = 1u << kChunkShift;
  static constexpr std::uint32_t kMaxChunks = 1u << (31 - kChunkShift);

  static std::uint32_t pack(std::uint64_t offset, Heuristic heuristic) {
    return static_cast<std::uint32_t>(offset < kMaxOffset ? offset : kMaxOffset) |
           static_cast<std::uint32_t>(heuristic) << 29;
  }

  // Calls visit(Edge) for each edge; it may return false to stop. Returns false when stopped.
  template <typename Visit>
  bool for_each(Row row, Visit&& visit) const {
    if (row == kEmptyRow) return true;
    if ((row & kInlineRow) != 0) return visit(Edge{row & kTarget});
    const std::uint32_t* p = at(row);
    for (;;) {
      const std::uint32_t word = *p++;
      const std::uint32_t target = word & kTarget;
      if (target >= kVoid) {
        if (target == kJump) {
          p = at(*p);
          continue;
        }
        if (target == kEnd) return true;
        ++p;  // void: was interior
      } else {
        Edge edge{target};
        if ((word & kInterior) != 0) {
          edge.interior = true;
          edge.offset = *p & kMaxOffset;
          edge.heuristic = static_cast<Heuristic>(*p >> 29);
          ++p;
        }
        if (!visit(edge)) return false;
      }
      if ((word & kLast) != 0) return true;
    }
  }

  // One edge at a time, for searches that must be suspended: `cursor` starts as the row and ends as
  // kEmptyRow.
  std::optional<Edge> next(Row& cursor) const {
    if (cursor == kEmptyRow) return std::nullopt;
    if ((cursor & kInlineRow) != 0) {
      const Edge edge{cursor & kTarget};
      cursor = kEmptyRow;
      return edge;
    }
    for (;;) {
      const std::uint32_t* p = at(cursor);
      const std::uint32_t target = *p & kTarget;
      if (target == kJump) {
        cursor = p[1];
        continue;
      }
      const bool last = (*p & kLast) != 0 || target == kEnd;
      const bool wide = (*p & kInterior) != 0 || target >= kVoid;
      cursor = last ? kEmptyRow : cursor + (wide ? 2 : 1);
      if (target < kVoid) {
        Edge edge{target};
        if (wide) {
          edge.interior = true;
          edge.offset = p[1] & kMaxOffset;
          edge.heuristic = static_cast<Heuristic>(p[1] >> 29);
        }
        return edge;
      }
      if (last) return std::nullopt;
    }
  }

  // Calls visit(word, offset_word), both by reference, for each interior pointer in the store.
  template <typename Visit>
  void for_each_interior(Visit&& visit) {
    for (std::uint32_t c = 0; c < chunk_count_; ++c) {
      std::uint32_t* p = chunks_[c].data();
      std::uint32_t* const end = p + used_[c];
      while (p < end) {
        std::uint32_t& word = *p++;
        const std::uint32_t target = word & kTarget;
        if (target == kJump || target == kEnd || target == kVoid) {
          ++p;
        } else if ((word & kInterior) != 0) {
          visit(word, *p++);
        }
      }
    }
  }

  const std::uint32_t* at(std::uint32_t position) const {
    return chunks_[position >> kChunkShift].data() + (position & (kChunkWords - 1));
  }
  std::uint32_t* at(std::uint32_t position) {
    return chunks_[position >> kChunkShift].data() + (position & (kChunkWords - 1));
  }
  std::uint32_t chunk_count() const { return chunk_count_; }
  std::uint64_t words() const;      // in use
  bool full() const { return full_; }  // pointers were left out: more than 2^31 words

 private:
  friend class EdgeWriter;
  std::optional<std::uint32_t> new_chunk();

  std::mutex mutex_;
  std::uint32_t chunk_count_ = 0;
  bool full_ = false;
  std::array<HugeArray<std::uint32_t>, kMaxChunks> chunks_;
  std::array<std::uint32_t, kMaxChunks> used_{};
};

// One thread's pen. Rows are written one after the other; a writer must be finished or destroyed
// before the store is read.
class EdgeWriter {
 public:
  explicit EdgeWriter(EdgeStore& store) : store_(store) {}
  ~EdgeWriter() { finish(); }

  void begin();
  void add_start(std::uint32_t target);
  void add_interior(std::uint32_t target, std::uint64_t offset);
  Row end();

  // A part of the row of a block that is scanned in slices. `end_part` leaves room for a jump.
  struct Part {
    std::uint32_t begin = 0;
    std::uint32_t link = 0;  // position of the kEnd word to be replaced by a jump
  };
  std::optional<Part> end_part();  // nullopt: no edges
  static void link(EdgeStore& store, const Part& part, const Part& next);

  void finish();

 private:
  bool make_room();  // for the widest edge and a jump behind it

  EdgeStore& store_;
  std::uint32_t* words_ = nullptr;  // of the current chunk
  std::uint32_t chunk_ = 0;
  std::uint32_t used_ = EdgeStore::kChunkWords;
  std::uint32_t row_ = kEmptyRow;   // position of the row's first word
  std::uint32_t* last_ = nullptr;   // its last edge so far
  std::uint32_t count_ = 0;         // words in it
};

}  // namespace heapledger
