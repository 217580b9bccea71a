// SPDX-License-Identifier: Apache-2.0
//
// The reachability scan: blocks, memory and roots in; a verdict for each block, its parent on the
// shortest chain from a root, the head of each lost group and the coverage out. Knows no debugger.
//
//   auto scan = heapledger::scan(std::move(input), options);
//   scan->summary()[Verdict::definitely_lost].bytes
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/coverage.h"
#include "analysis/loss_records.h"
#include "analysis/roots.h"
#include "analysis/verdict.h"
#include "inferior/block.h"
#include "inferior/memory.h"
#include "inferior/present_pages.h"
#include "inferior/result.h"

namespace heapledger {

using BlockIndexNumber = std::uint32_t;  // position in Scan::blocks()

enum class LeaderRule : std::uint8_t {
  exact,     // one head per source component of the lost graph: independent of the addresses
  valgrind,  // address-order depth-first search, as Valgrind does: for comparisons with it
};

struct ScanOptions {
  LeaderRule leader = LeaderRule::exact;
  bool heuristics = true;            // Valgrind's four
  bool runtime = true;               // Heuristic::runtime
  bool suppress_children = true;     // what only suppressed blocks lead to is suppressed as well
  unsigned threads = 0;              // workers; 0: one per core
};

inline constexpr std::uint64_t kMostSlack = 15;  // bytes usable beyond those asked for; smallest: 24

struct ScanInput {
  const Memory& memory;
  std::vector<Block> blocks;         // sorted by start; of overlapping ones the later is discarded
  RootSet roots;
  // What the records of a block are grouped by, asked for by number in Scan::blocks() when there is a
  // verdict. May be empty: all 0.
  std::function<std::uint32_t(BlockIndexNumber)> key;
  // Is a lost block of this key suppressed? May be empty.
  std::function<bool(std::uint32_t key, Verdict verdict)> suppressed;
  // The parts of a range that are worth reading (pages that were ever touched), sorted; what is left
  // out counts as zero. Not asked for shared memory. May be empty.
  TouchedParts present;
  // Called on the caller's thread now and then; false ends the scan with an Error. May be empty.
  std::function<bool(std::uint64_t done, std::uint64_t total, std::string_view what)> progress;
  // Instead of `blocks`: somebody else's, who keeps them as long as the scan.
  std::span<const Block> lent_blocks = {};
  // Of each block: its size is usable bytes, up to kMostSlack more than the program asked for. Empty: none.
  std::vector<bool> usable_size = {};
};

// Where a pointer to a block was found.
struct Reference {
  enum class Holder : std::uint8_t { block, root };
  Holder holder = Holder::root;
  BlockIndexNumber block = 0;        // Holder::block
  std::uint32_t root = 0;            // Holder::root: index into RootSet::roots
  Address slot = 0;                  // address of the word; for registers the word's index
  std::uint64_t value = 0;           // the word
  bool in_register = false;
  friend bool operator==(const Reference&, const Reference&) = default;
};

class Scan {
 public:
  Scan(Scan&&) noexcept;
  Scan& operator=(Scan&&) noexcept;
  ~Scan();

  std::span<const Block> blocks() const;              // as given, less the discarded ones
  std::optional<BlockIndexNumber> find(Address address) const;  // in [start, start + max(size, 1))
  Verdict verdict(BlockIndexNumber block) const;
  // Still reachable blocks that no true start pointer leads to: why they count as reachable.
  Heuristic heuristic(BlockIndexNumber block) const;
  std::uint32_t key(BlockIndexNumber block) const;

  const Summary& summary() const;
  const Coverage& coverage() const;
  const RootSet& roots() const;

  // Smallest total first (the largest comes last and has the highest number), ties by verdict
  // (definitely, indirectly, possibly, reachable: as Valgrind) and key. Every verdict is there.
  std::vector<LossRecord> records() const;
  std::vector<BlockIndexNumber> members(const LossRecord& record) const;  // by address

  // Shortest chain from a root, root first: each reference holds the next one's holder, the last one
  // points at `block`. Empty for lost blocks. Of equally short chains the strongest root's.
  // Reads the input's memory, as the holders below do: only at the stop the scan was made at.
  std::vector<Reference> chain(BlockIndexNumber block) const;
  // Every block that points into `block` (not itself), by address; one entry per word.
  std::vector<Reference> block_holders(BlockIndexNumber block) const;
  std::vector<Reference> root_holders(BlockIndexNumber block) const;
  // Lost blocks: the head of the group it is counted with (itself when it is one).
  std::optional<BlockIndexNumber> head(BlockIndexNumber block) const;
  // What a head leads to, itself not counted.
  Total led_by(BlockIndexNumber head) const;

  // Mappings that alone keep more than `share` of all blocks reachable (allocator metadata or an
  // index?): root index and what only it keeps.
  struct SoleHolder { std::uint32_t root = 0; Total keeps; };
  std::vector<SoleHolder> sole_holders(double share = 0.01) const;

  struct State;
  explicit Scan(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

// Errors: interrupted, more than 2^29 blocks. What cannot be read is coverage, not an error.
Result<Scan> scan(ScanInput input, const ScanOptions& options = {});

}  // namespace heapledger
