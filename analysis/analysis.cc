// SPDX-License-Identifier: Apache-2.0
//
// The table of contents of a scan.
#include "analysis/analysis.h"

#include <algorithm>
#include <thread>

#include "analysis/block_set.h"
#include "analysis/edges.h"
#include "analysis/heads.h"
#include "analysis/heuristics.h"
#include "analysis/mark.h"
#include "analysis/scan_state.h"

namespace heapledger {
namespace {

ScanOptions with_threads(ScanOptions options) {
  if (options.threads == 0) options.threads = std::max(1u, std::thread::hardware_concurrency());
  return options;
}

// Calls keep(i) for each block in user space that overlaps none before it.
template <typename Keep>
void for_each_disjoint(std::span<const Block> blocks, Keep&& keep) {
  constexpr Address kAddressEnd = Address{1} << BlockIndex::kAddressBits;
  Address end = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Block b = blocks[i];
    const std::uint64_t size = std::max<std::uint64_t>(b.size, 1);
    if (b.start < end || b.start >= kAddressEnd || size > kAddressEnd - b.start) continue;
    end = b.start + size;
    keep(i);
  }
}

// The blocks sorted and disjoint, where they are or in input.blocks.
std::span<const Block> disjoint_blocks(ScanInput& input, Coverage& coverage) {
  const std::span<const Block> given = input.lent_blocks.empty() ? input.blocks : input.lent_blocks;
  std::size_t count = 0;
  for_each_disjoint(given, [&](std::size_t) { ++count; });
  if (count == given.size()) return given;
  coverage.discarded_blocks += given.size() - count;
  std::vector<Block> kept;
  std::vector<bool> usable;
  kept.reserve(count);
  for_each_disjoint(given, [&](std::size_t i) {
    kept.push_back(given[i]);
    if (!input.usable_size.empty()) usable.push_back(input.usable_size[i]);
  });
  input.blocks = std::move(kept);
  input.usable_size = std::move(usable);
  return input.blocks;
}

void take_blocks(Scan::State& state) {
  state.coverage = state.input.roots.coverage;
  Graph& graph = state.graph;
  graph.blocks = disjoint_blocks(state.input, state.coverage);
  graph.index = BlockIndex(graph.blocks);
  graph.nodes = HugeArray<Node>(graph.blocks.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) graph.nodes[i] = Node{};
  graph.verdicts = HugeArray<std::uint8_t>(graph.blocks.size());
}

BlockSet with_trait(const HugeArray<std::uint8_t>& traits, std::uint8_t trait) {
  BlockSet set(static_cast<std::uint32_t>(traits.size()));
  for (std::uint32_t b = 0; b < traits.size(); ++b) {
    if ((traits[b] & trait) != 0) set.insert(b);
  }
  return set;
}

Summary summarize(const Graph& graph) {
  Summary summary;
  for (std::uint32_t b = 0; b < graph.count(); ++b) {
    const auto add = [&](Total& total) {
      total.bytes += graph.blocks[b].size;
      ++total.blocks;
    };
    add(summary[graph.verdict(b)]);
    const Heuristic heuristic = graph.heuristic(b);
    if (heuristic != Heuristic::none) {
      add(summary.by_heuristic[static_cast<std::size_t>(heuristic)]);
    }
  }
  return summary;
}

}  // namespace

Result<Scan> scan(ScanInput input, const ScanOptions& asked) {
  const ScanOptions options = with_threads(asked);
  const std::size_t count = input.blocks.size() + input.lent_blocks.size();
  if (count > kMaxBlocks) return fail("cannot scan {} blocks: the limit is {}", count, kMaxBlocks);
  auto state = std::make_unique<Scan::State>(std::move(input));
  Graph& graph = state->graph;

  take_blocks(*state);
  HugeArray<std::uint8_t> traits(graph.blocks.size());

  // Where every block lies is known. Nothing of its contents.

  if (auto read = collect_edges(state->input, options.threads, graph, traits, state->coverage);
      !read) {
    return tl::unexpected(read.error());
  }

  // All memory has been read, once. Which word points into which block is known, and at what offset;
  // of interior pointers not yet whether they count as start pointers.

  settle_interior(state->input, options, traits, graph);
  const BlockSet maybe_objects = with_trait(traits, BlockTraits::kMaybeVtable);
  traits = {};

  // The graph is complete. From here on the inferior is looked at only to tell heads apart.

  if (!mark(graph, state->input.progress)) return fail("interrupted: nothing was judged");

  // Still reachable and possibly lost blocks are known, each with its shortest chain. The rest is lost.

  if (!classify_lost(state->input, options, maybe_objects, graph)) {
    return fail("interrupted: nothing was judged");
  }

  // Every block has its verdict, every lost one its head.

  state->summary = summarize(graph);
  state->input.progress = nullptr;  // what the callbacks refer to is the caller's
  state->input.present = nullptr;
  return Scan(std::move(state));
}

Scan::Scan(std::unique_ptr<State> state) : state_(std::move(state)) {}
Scan::Scan(Scan&&) noexcept = default;
Scan& Scan::operator=(Scan&&) noexcept = default;
Scan::~Scan() = default;

std::span<const Block> Scan::blocks() const { return state_->graph.blocks; }
std::optional<BlockIndexNumber> Scan::find(Address address) const {
  return state_->graph.index.find(address);
}
Verdict Scan::verdict(BlockIndexNumber block) const { return state_->graph.verdict(block); }
Heuristic Scan::heuristic(BlockIndexNumber block) const { return state_->graph.heuristic(block); }
std::uint32_t Scan::key(BlockIndexNumber block) const {
  return state_->input.key ? state_->input.key(block) : 0;
}
const Summary& Scan::summary() const { return state_->summary; }
const Coverage& Scan::coverage() const { return state_->coverage; }
const RootSet& Scan::roots() const { return state_->input.roots; }

}  // namespace heapledger
