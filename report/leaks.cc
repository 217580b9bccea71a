// SPDX-License-Identifier: Apache-2.0
#include "report/leaks.h"

#include <fmt/format.h>

#include <algorithm>

namespace heapledger {

RecordSelection select_records(const LeakReport& report) {
  RecordSelection selection;
  const std::vector<LossRecord> records = report.scan.scan.records();
  selection.all = records.size();
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (report.show.contains(records[i].kind)) selection.shown.push_back({records[i], i + 1});
  }
  if (report.limit && selection.shown.size() > *report.limit) {
    selection.cut = selection.shown.size() - *report.limit;  // the largest come last and stay
    selection.shown.erase(selection.shown.begin(),
                          selection.shown.begin() + std::ptrdiff_t(selection.cut));
  }
  return selection;
}

std::vector<CodeAddress> stack_of(const LeakReport& report, const LossRecord& record) {
  if (shape_of(report, record) != nullptr) return {};
  return report.ledger.stack(record.key);
}

const BlockShape* shape_of(const LeakReport& report, const LossRecord& record) {
  if ((record.key & kShapeKey) == 0) return nullptr;
  return &report.shapes->shape(record.key & ~kShapeKey);
}

std::vector<std::string> scan_notes(const LeakReport& report) {
  const Scan& scan = report.scan.scan;
  std::vector<std::string> notes = describe(scan.coverage());
  for (const Scan::SoleHolder& holder : scan.sole_holders()) {
    const Root& root = scan.roots().roots[holder.root];
    if (root.kind != RootKind::mapping) continue;
    notes.push_back(fmt::format(
        "{} ({:#x}-{:#x}) alone keeps {} bytes in {} blocks reachable: if it is an index or an "
        "allocator's own memory, they may be lost", root.name, root.range.begin, root.range.end,
        holder.keeps.bytes, holder.keeps.blocks));
  }
  LedgerCoverage rest = report.coverage;  // what the scan's coverage does not have
  if (scan.coverage().dropped_records != 0) rest.dropped = 0;
  rest.in_flight = rest.damaged = 0;
  for (std::string& note : coverage_notes(rest)) notes.push_back(std::move(note));
  return notes;
}

}  // namespace heapledger
