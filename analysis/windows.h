// SPDX-License-Identifier: Apache-2.0
//
// The order in which memory is taken: windows of at most 1 MiB (process_vm_readv is at full speed from
// there on, and a window stays in the core's own cache), neighbouring blocks together, large blocks
// and roots in slices. Windows are independent of each other, so that any thread can take any.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "analysis/analysis.h"
#include "analysis/graph.h"
#include "inferior/address.h"

namespace heapledger {

struct Window {
  enum class Kind : std::uint8_t { blocks, slice, root };
  Kind kind = Kind::blocks;
  AddressRange range;        // to be read; multiples of 8; may be empty
  std::uint32_t first = 0;   // blocks: first block; slice: the block; root: piece in root_pieces
  std::uint32_t last = 0;    // blocks: one behind the last
};

inline constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 20;

// What was never touched of a large block or root has no window. `present`: ScanInput::present.
std::vector<Window> block_windows(std::span<const Block> blocks, const TouchedParts& present);
// Fills `pieces` with one entry per window (and one per root with register words).
std::vector<Window> root_windows(std::span<const Root> roots, const TouchedParts& present,
                                 std::vector<RootPiece>& pieces);

// Reads windows, cuts out what must not be seen, counts what could not be read. Shared by all threads.
class WindowReader {
 public:
  WindowReader(const ScanInput& input, const Graph& graph) : input_(input), graph_(graph) {}

  // Words that could not be read, are not worth reading, or are excluded come as 0.
  void read(const Window& window, std::span<std::uint64_t> words);
  void add_to(Coverage& coverage) const;

 private:
  void read_range(const Window& window, AddressRange range, std::byte* out);
  void count_unreadable(const Window& window, AddressRange range);
  void cut_blocks(AddressRange range, std::byte* bytes) const;

  const ScanInput& input_;
  const Graph& graph_;
  std::atomic<std::uint64_t> unreadable_roots_ = 0;
  std::atomic<std::uint64_t> unreadable_blocks_ = 0;
  std::atomic<Address> first_unreadable_ = UINT64_MAX;
};

}  // namespace heapledger
