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
  // Of the untracked allocations; needed when there are any. Asked for when there are verdicts.
  std::function<const BlockShapes&()> shapes;
  std::function<bool(std::uint32_t key, Verdict verdict)> suppressed;
};

struct ProcessScan {
  Scan scan;
  // Of each block of `scan`, its number in the Ledger. Empty: they are its untracked ones.
  std::vector<std::uint32_t> allocations;
  std::uint64_t stop_id = 0;

  Allocation allocation(const Ledger& ledger, BlockIndexNumber block) const {
    return ledger.allocation(allocations.empty() ? ledger.recorded().size() + block
                                                 : allocations[block]);
  }
};

inline constexpr std::uint32_t kShapeKey = 1u << 31;

// LossRecord::key of the result is a canonical StackId - ledger.stack(record.key) are its frames - or,
// with kShapeKey set, the shape of untracked blocks. The ledger must outlive the result: where nothing
// was recorded its blocks are used where they are.
Result<ProcessScan> scan_process(Target& target, const Ledger& ledger,
                                 std::span<const AddressRange> own_memory,
                                 const ProcessScanOptions& options = {});

// Roots only (`leaks roots` without a scan).
Result<RootSet> collect_process_roots(Target& target, const Ledger& ledger,
                                      std::span<const AddressRange> own_memory,
                                      const ProcessScanOptions& options = {});

}  // namespace heapledger
