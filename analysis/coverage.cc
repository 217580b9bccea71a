// SPDX-License-Identifier: Apache-2.0
#include "analysis/coverage.h"

#include <fmt/format.h>

namespace heapledger {

bool Coverage::complete() const { return describe(*this).empty(); }

std::vector<std::string> describe(const Coverage& c) {
  std::vector<std::string> lines;
  if (c.unreadable_root_bytes != 0) {
    lines.push_back(fmt::format(
        "{} of {} bytes of roots could not be read (first at {:#x}): what only they hold is reported as lost",
        c.unreadable_root_bytes, c.root_bytes, c.first_unreadable));
  }
  if (c.unreadable_block_bytes != 0) {
    lines.push_back(fmt::format(
        "{} of {} bytes of blocks could not be read (first at {:#x}): what only they hold is reported as lost",
        c.unreadable_block_bytes, c.block_bytes, c.first_unreadable));
  }
  if (c.threads_without_registers != 0) {
    lines.push_back(fmt::format(
        "{} of {} threads gave no registers: what only those registers hold is reported as lost",
        c.threads_without_registers, c.threads));
  }
  if (c.threads_without_stack != 0) {
    lines.push_back(fmt::format(
        "{} of {} threads have no known stack: what only those stacks hold is reported as lost",
        c.threads_without_stack, c.threads));
  }
  if (c.dropped_records != 0) {
    lines.push_back(fmt::format(
        "{} allocations were not recorded{}: they are not judged, and what only they hold is reported as lost",
        c.dropped_records, c.dropped_because.empty() ? "" : fmt::format(" ({})", c.dropped_because)));
  }
  if (c.in_flight_records != 0) {
    lines.push_back(fmt::format("{} allocator calls were in progress: their blocks may be missing",
                                c.in_flight_records));
  }
  if (c.damaged_records != 0) {
    lines.push_back(fmt::format("{} records of the ledger made no sense and were left out: what only their blocks hold is reported as lost",
                                c.damaged_records));
  }
  if (c.discarded_blocks != 0) {
    lines.push_back(fmt::format("{} blocks overlap an earlier one, or are not in memory, and were not judged",
                                c.discarded_blocks));
  }
  if (c.skipped_shared_bytes != 0) {
    lines.push_back(fmt::format(
        "{} bytes of shared file mappings were not scanned: what only they hold is reported as lost",
        c.skipped_shared_bytes));
  }
  return lines;
}

}  // namespace heapledger
