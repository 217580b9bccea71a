// SPDX-License-Identifier: Apache-2.0
//
// The scan of a tracked process at a stop: takes blocks from the ledger, roots from the target, and
// runs the engine. Heap blocks are the graph's nodes. Mapped segments (mmap, shmat) are not, as in
// Valgrind: they are roots, and count in `leaks top` only.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "analysis/analysis.h"
#include "analysis/block_shapes.h"
#include "inferior/modules.h"
#include "inferior/target.h"
#include "tracking/ledger.h"

namespace heapledger {

struct ProcessScanOptions {
  ScanOptions scan;
  bool tracked_from_start = true;   // false (late attach): memory of allocators that the ledger does
                                    // not know counts as a root, so that nothing is lost by mistake
  bool shared_files = false;
  // What malloc's own structures say, where they were asked: then every block of glibc's heap is in
  // the ledger, tracked or not. nullptr: not walked.
  const HeapWalk* heap = nullptr;
  const BlockShapes* shapes = nullptr;  // of the untracked allocations; needed when there are any
  std::function<bool(std::uint32_t key, Verdict verdict)> suppressed;
};

struct ProcessScan {
  Scan scan;
  // Of each block of `scan`, its position in Ledger::allocations().
  std::vector<std::uint32_t> allocations;
  std::uint64_t stop_id = 0;

  const Allocation& allocation(const Ledger& ledger, BlockIndexNumber block) const {
    return ledger.allocations()[allocations[block]];
  }
};

// Stacks with equal frames may have several ids in the depot: of each id, the smallest id with the
// same frames. Indexed by StackId up to the largest one in use.
std::vector<StackId> canonical_stacks(const Ledger& ledger);

// LossRecord::key of the result is a canonical StackId - ledger.stack(record.key) are its frames - or,
// with kUsableSize set, the shape of untracked blocks.
Result<ProcessScan> scan_process(Target& target, const Ledger& ledger,
                                 std::span<const AddressRange> own_memory,
                                 const ProcessScanOptions& options = {});

// Roots only (`leaks roots` without a scan).
Result<RootSet> collect_process_roots(Target& target, const Ledger& ledger,
                                      std::span<const AddressRange> own_memory,
                                      const ProcessScanOptions& options = {});

}  // namespace heapledger
