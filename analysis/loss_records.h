// SPDX-License-Identifier: Apache-2.0
//
// Loss records: the blocks of one verdict that came from one stack, as Valgrind groups them.
#pragma once

#include <cstdint>
#include <vector>

#include "analysis/verdict.h"

namespace heapledger {

struct LossRecord {
  Verdict kind = Verdict::definitely_lost;
  std::uint32_t key = 0;              // ScanInput::keys of its blocks: a StackId in scan_process
  std::uint64_t bytes = 0;            // direct: of the record's own blocks
  std::uint64_t blocks = 0;
  std::uint64_t indirect_bytes = 0;   // of what its heads lead to (definitely lost records only)
  std::uint64_t indirect_blocks = 0;
  std::uint64_t total_bytes() const { return bytes + indirect_bytes; }
  friend bool operator==(const LossRecord&, const LossRecord&) = default;
};

}  // namespace heapledger
