// SPDX-License-Identifier: Apache-2.0
//
// Outstanding allocations by call stack: what bcc's memleak answers (`leaks top`). Untracked blocks have
// no stack; their shape takes its place.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "analysis/block_shapes.h"
#include "tracking/ledger.h"

namespace heapledger {

enum class OutstandingOrder { size, count, age };  // largest, most, oldest first

struct OutstandingFilter {
  std::optional<std::uint64_t> older_ms;  // only allocations at least this old
  std::uint64_t min_size = 0;             // bytes, inclusive
  std::uint64_t max_size = UINT64_MAX;    // bytes, inclusive
  bool list = false;                      // OutstandingGroup::allocations is asked for
};

struct OutstandingGroup {
  StackId stack_id = 0;                   // of all with the same frames (Ledger::canonical_stacks)
  std::vector<CodeAddress> stack;         // its return addresses, innermost first; may be empty
  std::optional<std::uint32_t> shape;     // id of untracked blocks' shape
  std::uint64_t bytes = 0;
  std::uint64_t count = 0;
  std::optional<std::uint64_t> oldest_ms;
  bool incomplete = false;                // of the stack: outer callers are missing
  std::vector<std::uint32_t> allocations; // numbers in the ledger, by address; see OutstandingFilter
};

// Groups whose stacks have the same frames are one group (the depot may hold a stack twice).
// Ties in the order are broken by bytes, count, then shape, then stack. `shapes`: of the ledger's
// untracked allocations. Only the first `limit` groups get their `stack`: what nobody shows is not copied.
std::vector<OutstandingGroup> group_by_stack(const Ledger& ledger, const OutstandingFilter& filter,
                                             OutstandingOrder order, const BlockShapes& shapes = {},
                                             std::size_t limit = SIZE_MAX);

}  // namespace heapledger
