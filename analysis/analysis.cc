// SPDX-License-Identifier: Apache-2.0
//
// The table of contents of a scan.
#include "analysis/analysis.h"

#include <algorithm>
#include <thread>

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

// Leaves `blocks` sorted and disjoint; returns how many were discarded for that.
std::uint64_t make_disjoint(std::vector<Block>& blocks, std::vector<std::uint32_t>& keys) {
  std::size_t kept = 0;
  Address end = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Block& b = blocks[i];
    const std::uint64_t size = std::max<std::uint64_t>(b.size, 1);
    if (b.start < end || b.start + size < b.start) continue;
    end = b.start + size;
    if (!keys.empty()) keys[kept] = keys[i];
    blocks[kept++] = b;
  }
  const std::uint64_t discarded = blocks.size() - kept;
  blocks.resize(kept);
  if (!keys.empty()) keys.resize(kept);
  return discarded;
}

void take_blocks(Scan::State& state) {
  state.coverage = state.input.roots.coverage;
  state.coverage.discarded_blocks += make_disjoint(state.input.blocks, state.input.keys);
  Graph& graph = state.graph;
  graph.blocks = std::move(state.input.blocks);
  graph.index = BlockIndex(graph.blocks);
  graph.nodes = HugeArray<Node>(graph.blocks.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) graph.nodes[i] = Node{};
  graph.verdicts = HugeArray<std::uint8_t>(graph.blocks.size());
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
  if (input.blocks.size() > kMaxBlocks) {
    return fail("cannot scan {} blocks: the limit is {}", input.blocks.size(), kMaxBlocks);
  }
  auto state = std::make_unique<Scan::State>(std::move(input));
  Graph& graph = state->graph;
  HugeArray<std::uint8_t> traits(state->input.blocks.size());

  take_blocks(*state);

  // Where every block lies is known. Nothing of its contents.

  if (auto read = collect_edges(state->input, options.threads, graph, traits, state->coverage);
      !read) {
    return tl::unexpected(read.error());
  }

  // All memory has been read, once. Which word points into which block is known, and at what offset;
  // of interior pointers not yet whether they count as start pointers.

  settle_interior(state->input, options, traits, graph);

  // The graph is complete. From here on the inferior is looked at only to tell heads apart.

  if (!mark(graph, state->input.progress)) return fail("interrupted: nothing was judged");

  // Still reachable and possibly lost blocks are known, each with its shortest chain. The rest is lost.

  if (!classify_lost(state->input, options, traits, graph)) {
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
  return state_->input.keys.empty() ? 0 : state_->input.keys[block];
}
const Summary& Scan::summary() const { return state_->summary; }
const Coverage& Scan::coverage() const { return state_->coverage; }
const RootSet& Scan::roots() const { return state_->input.roots; }

}  // namespace heapledger
