// SPDX-License-Identifier: Apache-2.0
#include "analysis/edges.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "analysis/word_filter.h"
#include "analysis/workers.h"

namespace heapledger {
namespace {

constexpr std::size_t kWindowWords = kWindowBytes / 8;
constexpr std::size_t kBatch = 64;

// A word that passed the filter and what it points to.
struct Hit {
  std::uint32_t position;  // word of the window
  std::uint32_t target;
  std::uint64_t offset;    // 0: start pointer
};

// What all threads share.
struct Work {
  const ScanInput& input;
  Graph& graph;
  HugeArray<std::uint8_t>& traits;
  std::vector<Window> windows;
  std::vector<std::optional<EdgeWriter::Part>> parts;  // of slices, by window
  WordFilter filter;
  WindowReader reader;
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> stop = false;
};

class Worker {
 public:
  explicit Worker(Work& work)
      : work_(work),
        writer_(work.graph.edges),
        words_(std::make_unique_for_overwrite<std::uint64_t[]>(kWindowWords)),
        hits_(std::make_unique_for_overwrite<std::uint32_t[]>(kWindowWords + 8)) {}

  void run(const Progress* progress) {
    for (std::size_t i; !work_.stop && (i = work_.next++) < work_.windows.size();) {
      take(i);
      if (progress != nullptr && *progress && !(*progress)(i, work_.windows.size(), "reading memory")) {
        work_.stop = true;
      }
    }
    writer_.finish();
  }

  // The words of a root that are in registers.
  void resolve_registers(RootPiece& piece, std::span<const std::uint64_t> words) {
    for (std::size_t at = 0; at < words.size(); at += kWindowWords) {
      const auto part = words.subspan(at, std::min(kWindowWords, words.size() - at));
      for_each_hit(part, [&](const Hit& hit) { add_root_word(piece, hit, at); });
    }
  }

 private:
  void take(std::size_t number) {
    const Window& window = work_.windows[number];
    const std::span<std::uint64_t> words(words_.get(), window.range.size() / 8);
    work_.reader.read(window, words);
    switch (window.kind) {
      case Window::Kind::blocks: take_blocks(window, words); break;
      case Window::Kind::slice: take_slice(number, words); break;
      case Window::Kind::root: {
        RootPiece& piece = work_.graph.root_pieces[window.first];
        for_each_hit(words, [&](const Hit& hit) { add_root_word(piece, hit, 0); });
        break;
      }
    }
  }

  void take_blocks(const Window& window, std::span<const std::uint64_t> words) {
    const Address base = window.range.begin;
    const std::span<const Block> blocks = work_.graph.blocks;
    std::uint32_t source = window.first;
    Address source_end = blocks[source].start + blocks[source].size;
    bool open = false;
    writer_.begin();
    for_each_hit(words, [&](const Hit& hit) {
      const Address slot = base + std::uint64_t{hit.position} * 8;
      while (slot + 8 > source_end) {  // the word ends behind the block
        if (slot < source_end) return;
        if (open) work_.graph.nodes[source].row = writer_.end();
        open = false;
        if (++source == window.last) {
          --source;
          return;
        }
        source_end = blocks[source].start + blocks[source].size;
        writer_.begin();
      }
      if (slot < blocks[source].start || hit.target == source) return;
      if (is_stale_link(hit, blocks[source], slot)) return;
      add_edge(hit);
      open = true;
    });
    if (open) work_.graph.nodes[source].row = writer_.end();
    for (std::uint32_t b = window.first; b < window.last; ++b) note_traits(b, base, words);
  }

  void take_slice(std::size_t number, std::span<const std::uint64_t> words) {
    const Window& window = work_.windows[number];
    writer_.begin();
    for_each_hit(words, [&](const Hit& hit) {
      const Block& source = work_.graph.blocks[window.first];
      const Address slot = window.range.begin + std::uint64_t{hit.position} * 8;
      if (hit.target != window.first && !is_stale_link(hit, source, slot)) add_edge(hit);
    });
    work_.parts[number] = writer_.end_part();
    note_traits(window.first, window.range.begin, words);
  }

  void add_edge(const Hit& hit) {
    if (hit.offset == 0) {
      writer_.add_start(hit.target);
    } else {
      writer_.add_interior(hit.target, hit.offset);
    }
  }

  static void add_root_word(RootPiece& piece, const Hit& hit, std::size_t at) {
    piece.words.push_back(
        {hit.target, static_cast<std::uint32_t>(at + hit.position),
         hit.offset == 0 ? 0 : EdgeStore::pack(hit.offset, Heuristic::none)});
  }

  // Calls visit for each word of `words` that points into a block, in order. The index's lines are
  // prefetched a batch ahead, the blocks that interior pointers need within the batch.
  template <typename Visit>
  void for_each_hit(std::span<const std::uint64_t> words, Visit&& visit) {
    const Graph& graph = work_.graph;
    const std::size_t count = work_.filter.select(words, hits_.get());
    const std::uint32_t* const at = hits_.get();
    for (std::size_t i = 0; i < std::min(kBatch, count); ++i) graph.index.prefetch(words[at[i]]);
    for (std::size_t begin = 0; begin < count; begin += kBatch) {
      const std::size_t end = std::min(begin + kBatch, count);
      for (std::size_t i = end; i < std::min(end + kBatch, count); ++i) {
        graph.index.prefetch(words[at[i]]);
      }
      BlockIndex::Candidate candidates[kBatch];
      graph.index.candidates(words.data(), at + begin, end - begin, candidates);
      for (std::size_t i = begin; i < end; ++i) {
        const auto& candidate = candidates[i - begin];
        if (!candidate.start && candidate.block != BlockIndex::kNone) {
          __builtin_prefetch(&graph.blocks[candidate.block]);
        }
      }
      for (std::size_t i = begin; i < end; ++i) {
        Hit hit{at[i], candidates[i - begin].block, 0};
        if (hit.target == BlockIndex::kNone) continue;
        if (!candidates[i - begin].start && !points_inside(words[at[i]], hit)) continue;
        visit(hit);
      }
    }
  }

  bool points_inside(std::uint64_t word, Hit& hit) const {
    const Block& block = work_.graph.blocks[hit.target];
    hit.offset = word - block.start;
    // One past the end of eight bytes: perhaps a new T[0] with its cookie, see settle_interior.
    return hit.offset < block.size || hit.offset == 0 || (hit.offset == 8 && block.size == 8);
  }

  bool has_usable_size(std::uint32_t b) const {
    const std::vector<bool>& usable = work_.input.usable_size;
    return !usable.empty() && usable[b];
  }

  // While a chunk of malloc's is free its first words link it to others (fd, bk; of large ones also
  // fd_nextsize, bk_nextsize), by the address of their header. That header's address lies in the last
  // usable word of the block in front of it. Where requested bytes are known they mostly end before;
  // where only usable ones are, a link left over in a block that was never written to would hold it.
  bool is_stale_link(const Hit& hit, const Block& holder, Address slot) const {
    constexpr std::uint64_t kLargeChunk = 1008;  // usable bytes
    if (hit.offset == 0 || hit.offset + 8 != work_.graph.blocks[hit.target].size) return false;
    if (slot - holder.start >= (holder.size < kLargeChunk ? 16u : 32u)) return false;
    return has_usable_size(hit.target);
  }

  void note_traits(std::uint32_t b, Address base, std::span<const std::uint64_t> words) {
    const Block& block = work_.graph.blocks[b];
    const std::uint64_t at = (block.start - base) / 8;
    if ((block.start & 7) != 0 || block.size < 8 || block.start < base || at >= words.size()) return;
    const std::uint64_t first = words[at];
    // Between `least` and `rest` bytes were asked for behind the first word.
    const std::uint64_t rest = block.size - 8;
    const bool usable = has_usable_size(b);
    const std::uint64_t least = !usable ? rest : rest < 2 * kMostSlack ? 0 : rest - kMostSlack;
    std::uint8_t traits = 0;
    if (first == 0) {
      const bool zeros = rest == 16 && at + 2 < words.size() && (words[at + 1] | words[at + 2]) == 0;
      if (rest == 0 || (usable && zeros)) traits = BlockTraits::kEmptyArray;
    } else {
      if (first >= least && first <= rest) traits |= BlockTraits::kLength64;
      const std::uint64_t elements = rest - rest % first;
      if (elements != 0 && elements >= least) traits |= BlockTraits::kNewArray;
      if ((first & 7) == 0 && maybe_vtable(first)) traits |= BlockTraits::kMaybeVtable;
    }
    if (block.size > 24 && at + 1 < words.size() && words[at + 1] <= rest - 17 &&
        words[at + 1] + 17 >= least && first <= words[at + 1]) {
      traits |= BlockTraits::kStdString;
    }
    if (traits != 0) work_.traits[b] = traits;
  }

  bool maybe_vtable(std::uint64_t word) {
    if (last_vtable_range_.contains(word)) return true;
    const auto& ranges = work_.input.roots.vtable_ranges;
    if (ranges.empty() || word < ranges.front().begin || word >= ranges.back().end) return false;
    const auto it = std::partition_point(ranges.begin(), ranges.end(),
                                         [&](const AddressRange& r) { return r.end <= word; });
    if (it == ranges.end() || !it->contains(word)) return false;
    last_vtable_range_ = *it;
    return true;
  }

  Work& work_;
  EdgeWriter writer_;
  std::unique_ptr<std::uint64_t[]> words_;
  std::unique_ptr<std::uint32_t[]> hits_;
  AddressRange last_vtable_range_;
};

// Joins the parts of blocks that were scanned in slices.
void link_slices(Work& work) {
  std::optional<EdgeWriter::Part> previous;
  for (std::size_t i = 0; i < work.windows.size(); ++i) {
    const Window& window = work.windows[i];
    if (window.kind != Window::Kind::slice || !work.parts[i]) continue;
    Node& node = work.graph.nodes[window.first];
    if (node.row == kEmptyRow) {
      node.row = work.parts[i]->begin;
    } else {
      EdgeWriter::link(work.graph.edges, *previous, *work.parts[i]);
    }
    previous = work.parts[i];
  }
}

}  // namespace

Result<void> collect_edges(const ScanInput& input, unsigned threads, Graph& graph,
                           HugeArray<std::uint8_t>& traits, Coverage& coverage) {
  Work work{input, graph, traits, root_windows(input.roots.roots, input.present, graph.root_pieces),
            {},    WordFilter(graph.blocks), WindowReader(input, graph)};
  const std::vector<Window> of_blocks = block_windows(graph.blocks, input.present);
  work.windows.insert(work.windows.end(), of_blocks.begin(), of_blocks.end());
  work.parts.resize(work.windows.size());

  threads = static_cast<unsigned>(std::min<std::size_t>(threads, work.windows.size() / 4 + 1));
  if (!input.memory.reads_in_parallel()) threads = 1;
  on_threads(threads, [&](unsigned thread) {
    Worker worker(work);
    if (thread != 0) return worker.run(nullptr);
    for (RootPiece& piece : graph.root_pieces) {
      if (piece.in_register) worker.resolve_registers(piece, input.roots.roots[piece.root].words);
    }
    worker.run(&input.progress);
  });
  if (work.stop) return fail("interrupted while reading memory: nothing was judged");
  if (graph.edges.full()) return fail("cannot scan: more than 2^31 pointers between blocks");

  link_slices(work);
  for (const Root& root : input.roots.roots) coverage.root_bytes += root.range.size();
  for (const Block& block : graph.blocks) coverage.block_bytes += block.size;
  work.reader.add_to(coverage);
  return {};
}

}  // namespace heapledger
