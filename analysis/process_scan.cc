// SPDX-License-Identifier: Apache-2.0
#include "analysis/process_scan.h"

#include <algorithm>

#include "analysis/block_index.h"
#include "inferior/present_pages.h"
#include "inferior/target_modules.h"

namespace heapledger {
namespace {

// What the target and the ledger say at one stop; RootSources refers into it.
struct Stop {
  Mappings mappings;
  std::vector<Module> modules;
  std::vector<ThreadState> threads;
  std::vector<Block> blocks;               // neither list: the ledger's untracked ones are all there is
  std::vector<std::uint32_t> allocations;  // of each block
  std::span<const Block> all_blocks;       // wherever they are
  std::vector<AddressRange> segments;
  std::vector<AddressRange> own;
  std::uint64_t discarded = 0;             // blocks that cannot be any
};

// Which blocks can be any. All are the program's word: one of terabytes that are not there would have
// them scanned. What the engine would discard goes here, which keeps the numbers in step.
class PossibleBlocks {
 public:
  explicit PossibleBlocks(const Mappings& mappings) : next_(mappings.begin()), end_(mappings.end()) {}

  // In order of address. False: it overlaps the last one that could be, or is not in mapped memory.
  bool take(const Block& block) {
    const AddressRange range{block.start, block.start + std::max<std::uint64_t>(block.size, 1)};
    const bool user_space = range.end > range.begin && range.end >> BlockIndex::kAddressBits == 0;
    if (range.begin < last_end_ || !user_space || (any_ && !is_mapped(range))) return false;
    last_end_ = range.end;
    return true;
  }

 private:
  bool is_mapped(AddressRange range) {
    for (; run_.end < range.end && next_ != end_; ++next_) {
      if (next_->range.begin == run_.end) {
        run_.end = next_->range.end;
      } else if (run_.end <= range.begin) {
        run_ = next_->range;
      } else {
        return false;
      }
    }
    return run_.begin <= range.begin && range.end <= run_.end;
  }

  Mappings::const_iterator next_, end_;
  const bool any_ = next_ != end_;  // of remote processes there may be none to be had
  AddressRange run_;                // mappings that adjoin, as far as they were looked at
  Address last_end_ = 0;
};

bool all_possible(std::span<const Block> blocks, const Mappings& mappings) {
  PossibleBlocks possible(mappings);
  return std::all_of(blocks.begin(), blocks.end(), [&](const Block& b) { return possible.take(b); });
}

// The recorded and the untracked blocks in order of address.
void merge_blocks(const Ledger& ledger, Stop& stop) {
  const auto recorded = ledger.recorded();
  const auto untracked = ledger.untracked();
  stop.blocks.reserve(ledger.count());
  stop.allocations.reserve(ledger.count());
  PossibleBlocks possible(stop.mappings);
  const auto take = [&](const Block& block, std::size_t number) {
    if (!possible.take(block)) {
      ++stop.discarded;
      return;
    }
    stop.blocks.push_back(block);
    stop.allocations.push_back(std::uint32_t(number));
  };
  std::size_t next = 0;
  for (std::size_t i = 0; i < recorded.size(); ++i) {
    if (recorded[i].mapped) continue;
    for (; next < untracked.size() && untracked[next].start < recorded[i].block.start; ++next) {
      take(untracked[next], recorded.size() + next);
    }
    take(recorded[i].block, i);
  }
  for (; next < untracked.size(); ++next) take(untracked[next], recorded.size() + next);
}

Result<Stop> take_stop(Target& target, const Ledger& ledger, std::span<const AddressRange> own_memory) {
  Stop stop;
  auto mappings = target.mappings();
  if (!mappings) return tl::unexpected(mappings.error());
  stop.mappings = std::move(*mappings);
  auto modules = read_modules(target, stop.mappings);
  if (!modules) return tl::unexpected(modules.error());
  stop.modules = std::move(*modules);
  stop.threads = target.threads();
  stop.own.assign(own_memory.begin(), own_memory.end());
  stop.own.insert(stop.own.end(), ledger.own_memory().begin(), ledger.own_memory().end());

  for (const Allocation& a : ledger.recorded()) {
    if (a.mapped) stop.segments.push_back(a.block.range());
  }
  if (stop.segments.size() == ledger.recorded().size() && all_possible(ledger.untracked(), stop.mappings)) {
    stop.all_blocks = ledger.untracked();
  } else {
    merge_blocks(ledger, stop);
    stop.all_blocks = stop.blocks;
  }
  return stop;
}

// Where the frame that a signal interrupted left its stack: the smallest CFA on it is that of the
// signal frame, whose CFA is the interrupted sp.
std::optional<Address> interrupted_sp(Target& target, const ThreadState& thread, AddressRange stack) {
  std::optional<Address> sp;
  for (const FrameInfo& frame : target.backtrace(thread.tid, false)) {
    if (stack.contains(frame.cfa) && (!sp || frame.cfa < *sp)) sp = frame.cfa;
  }
  return sp;
}

bool still_there(Target& target, const Scan& scan) {
  if (target.kind() == ProcessKind::core) return true;
  if (target.state() == ProcessState::exited || target.state() == ProcessState::none) return false;
  for (const Root& root : scan.roots().roots) {
    if (root.kind == RootKind::stack) return target.memory().read_value<char>(root.range.begin).has_value();
  }
  return true;
}

RootSet roots_of(Target& target, const Stop& stop, const ProcessScanOptions& options) {
  RootSources sources{target.memory(), stop.mappings, stop.modules, stop.threads, target.pid(),
                      stop.all_blocks, stop.own,      stop.segments};
  sources.heap_gaps_are_roots = !options.tracked_from_start;
  sources.heap = options.heap;
  sources.shared_files = options.shared_files;
  sources.interrupted_sp = [&](const ThreadState& thread, AddressRange stack) {
    return interrupted_sp(target, thread, stack);
  };
  return collect_roots(sources);
}

using Key = std::function<std::uint32_t(BlockIndexNumber)>;

Key key_of(const Ledger& ledger, std::span<const std::uint32_t> allocations,
           const std::function<const BlockShapes&()>& shapes) {
  if (allocations.empty()) {
    return [shapes](BlockIndexNumber b) { return kShapeKey | shapes().id_of(b); };
  }
  const std::vector<StackId> canonical = ledger.canonical_stacks();
  const auto recorded = std::uint32_t(ledger.recorded().size());
  std::vector<std::uint32_t> keys;  // kShapeKey: number of an untracked block, its shape not asked for yet
  keys.reserve(allocations.size());
  for (const std::uint32_t number : allocations) {
    keys.push_back(number < recorded ? canonical[ledger.recorded()[number].stack]
                                     : kShapeKey | (number - recorded));
  }
  return [keys = std::move(keys), shapes](BlockIndexNumber b) {
    const std::uint32_t key = keys[b];
    return (key & kShapeKey) == 0 ? key : kShapeKey | shapes().id_of(key & ~kShapeKey);
  };
}

std::vector<bool> usable_sizes(const Ledger& ledger, const Stop& stop) {
  if (stop.allocations.empty()) return std::vector<bool>(ledger.untracked().size(), true);
  std::vector<bool> usable;
  usable.reserve(stop.allocations.size());
  for (const std::uint32_t number : stop.allocations) {
    usable.push_back(number >= ledger.recorded().size());
  }
  return usable;
}

}  // namespace

Result<ProcessScan> scan_process(Target& target, const Ledger& ledger,
                                 std::span<const AddressRange> own_memory,
                                 const ProcessScanOptions& options) {
  auto stop = take_stop(target, ledger, own_memory);
  if (!stop) return tl::unexpected(stop.error());

  ScanInput input{target.memory(), {}, {}, {}, {}, {}, {}};
  input.roots = roots_of(target, *stop, options);
  input.suppressed = options.suppressed;
  input.key = key_of(ledger, stop->allocations, options.shapes);
  const bool requested = options.heap != nullptr && options.heap->requested_sizes;
  if (!ledger.untracked().empty() && !requested) input.usable_size = usable_sizes(ledger, *stop);
  input.blocks = std::move(stop->blocks);
  if (stop->allocations.empty()) input.lent_blocks = ledger.untracked();
  input.present = touched_parts(target);
  input.progress = [&target](std::uint64_t done, std::uint64_t total, std::string_view what) {
    target.progress(done, total, what);
    return !target.interrupted();
  };
  Coverage& coverage = input.roots.coverage;
  // The walk of the heap found them all the same.
  if (options.heap == nullptr) coverage.dropped_records = ledger.counters().dropped;
  coverage.dropped_because = ledger.counters().shortage;
  coverage.in_flight_records = ledger.counters().in_flight;
  coverage.damaged_records = ledger.damaged();
  coverage.discarded_blocks = stop->discarded;

  auto scan = heapledger::scan(std::move(input), options.scan);
  if (!scan) return tl::unexpected(scan.error());
  // A process that was killed meanwhile reads as nothing, whatever the debugger knows of it by now.
  if (!still_there(target, *scan)) {
    return fail("the process ended during the scan: nothing was judged");
  }
  return ProcessScan{std::move(*scan), std::move(stop->allocations), target.stop_id()};
}

Result<RootSet> collect_process_roots(Target& target, const Ledger& ledger,
                                      std::span<const AddressRange> own_memory,
                                      const ProcessScanOptions& options) {
  auto stop = take_stop(target, ledger, own_memory);
  if (!stop) return tl::unexpected(stop.error());
  return roots_of(target, *stop, options);
}

}  // namespace heapledger
