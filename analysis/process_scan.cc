// SPDX-License-Identifier: Apache-2.0
#include "analysis/process_scan.h"

#include <algorithm>
#include <map>

#include "analysis/present_pages.h"
#include "inferior/target_modules.h"

namespace heapledger {
namespace {

// What the target and the ledger say at one stop; RootSources refers into it.
struct Stop {
  Mappings mappings;
  std::vector<Module> modules;
  std::vector<ThreadState> threads;
  std::vector<Block> blocks;
  std::vector<std::uint32_t> allocations;  // of each block
  std::vector<AddressRange> segments;
  std::vector<AddressRange> own;
  std::uint64_t discarded = 0;             // blocks that overlap an earlier one
};

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

  const auto allocations = ledger.allocations();
  stop.blocks.reserve(allocations.size());
  stop.allocations.reserve(allocations.size());
  Address end = 0;
  for (std::uint32_t i = 0; i < allocations.size(); ++i) {
    const Allocation& a = allocations[i];
    if (a.mapped) {
      stop.segments.push_back(a.block.range());
      continue;
    }
    // As the engine would discard it: keeps the numbers in step.
    const Address block_end = a.block.start + std::max<std::uint64_t>(a.block.size, 1);
    if (a.block.start < end || block_end < a.block.start) {
      ++stop.discarded;
      continue;
    }
    stop.blocks.push_back(a.block);
    stop.allocations.push_back(i);
    end = block_end;
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
                      stop.blocks,     stop.own,      stop.segments};
  sources.heap_gaps_are_roots = !options.tracked_from_start;
  sources.heap = options.heap;
  sources.shared_files = options.shared_files;
  sources.interrupted_sp = [&](const ThreadState& thread, AddressRange stack) {
    return interrupted_sp(target, thread, stack);
  };
  return collect_roots(sources);
}

}  // namespace

std::vector<StackId> canonical_stacks(const Ledger& ledger) {
  StackId largest = 0;
  for (const Allocation& a : ledger.allocations()) largest = std::max(largest, a.stack);
  std::vector<bool> used(largest + 1);
  for (const Allocation& a : ledger.allocations()) used[a.stack] = true;
  std::vector<StackId> canonical(largest + 1, 0);
  std::map<std::vector<std::uint64_t>, StackId> known;
  for (StackId id = 1; id <= largest; ++id) {
    if (!used[id]) continue;
    std::vector<std::uint64_t> frames;
    for (const CodeAddress& frame : ledger.stack(id)) {
      frames.push_back(frame.pc | std::uint64_t{frame.incarnation} << 48);
    }
    canonical[id] = known.try_emplace(std::move(frames), id).first->second;
  }
  return canonical;
}

Result<ProcessScan> scan_process(Target& target, const Ledger& ledger,
                                 std::span<const AddressRange> own_memory,
                                 const ProcessScanOptions& options) {
  auto stop = take_stop(target, ledger, own_memory);
  if (!stop) return tl::unexpected(stop.error());

  ScanInput input{target.memory(), {}, {}, {}, {}, {}, {}};
  input.roots = roots_of(target, *stop, options);
  input.suppressed = options.suppressed;
  const std::vector<StackId> canonical = canonical_stacks(ledger);
  input.keys.reserve(stop->blocks.size());
  for (const std::uint32_t i : stop->allocations) {
    const Allocation& allocation = ledger.allocations()[i];
    input.keys.push_back(allocation.untracked ? kUsableSize | options.shapes->id_of(i)
                                              : canonical[allocation.stack]);
  }
  input.blocks = std::move(stop->blocks);
  std::optional<PresentPages> present;
  if (target.kind() == ProcessKind::live_local) {
    present.emplace(target.pid());
    input.present = [&present](AddressRange range) { return (*present)(range); };
  }
  input.progress = [&target](std::uint64_t done, std::uint64_t total, std::string_view what) {
    target.progress(done, total, what);
    return !target.interrupted();
  };
  Coverage& coverage = input.roots.coverage;
  coverage.dropped_records = ledger.counters().dropped;
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
