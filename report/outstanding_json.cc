// SPDX-License-Identifier: Apache-2.0
//
// {"kind":"outstanding",
//  "groups":[{"bytes","count","oldest_ms","incomplete","stack":[frame],
//             "shape":{"min_size","max_size","guess","type"},       (blocks that nobody tracked)
//             "allocations":[{"address","size","age_ms","thread","kind","in_flight"}]}],
//  "total":{"bytes","count","groups"},"shown","interrupted","coverage":{}}
//
// Written group by group: a group may have a million allocations.
#include <fmt/format.h>

#include <algorithm>

#include "report/numbers.h"
#include "report/outstanding.h"

namespace heapledger {
namespace {

constexpr std::size_t kStacksPerLookup = 64;
constexpr std::size_t kPiece = 4096;

Json or_null(std::optional<std::uint64_t> value) { return value ? Json(*value) : Json(nullptr); }

Json allocation_json(const Ledger& ledger, const Allocation& allocation) {
  return Json{{"address", allocation.block.start},
              {"size", allocation.block.size},
              {"age_ms", or_null(ledger.age_ms(allocation))},
              {"thread", ledger.tid(allocation)},
              {"kind", kind_name(allocation.kind)},
              {"in_flight", bool(allocation.in_flight)}};
}

void write_allocations(const Ledger& ledger, const OutstandingGroup& group, const Sink& out) {
  std::string text = ",\"allocations\":[";
  for (std::size_t i = 0; i < group.allocations.size(); ++i) {
    if (i != 0) text += ',';
    text += json_text(allocation_json(ledger, ledger.allocation(group.allocations[i])));
    if ((i + 1) % kPiece == 0) {
      out(text);
      text.clear();
    }
  }
  out(text + "]");
}

void write_group(const OutstandingReport& report, const OutstandingGroup& group,
                 const FrameResolver& frames, const Sink& out) {
  Json json{{"bytes", group.bytes},
            {"count", group.count},
            {"oldest_ms", or_null(group.oldest_ms)},
            {"incomplete", group.incomplete},
            {"stack", frames_json(frames.frames(group.stack))}};
  if (group.shape) json["shape"] = shape_json(report.shapes->shape(*group.shape));
  std::string text = json_text(json);
  text.pop_back();  // its '}' comes after the allocations
  out(text);
  if (report.addresses) write_allocations(report.ledger, group, out);
  out("}");
}

}  // namespace

void write_outstanding_json(const OutstandingReport& report, FrameResolver& frames, Target& target,
                            const Sink& out) {
  const std::size_t count = std::min(report.limit, report.groups.size());
  out("{\"kind\":\"outstanding\",\"groups\":[");
  std::size_t shown = 0;
  bool stopped = false;
  while (shown < count && !stopped) {
    const std::size_t end = std::min(count, shown + kStacksPerLookup);
    std::vector<std::vector<CodeAddress>> stacks;
    for (std::size_t i = shown; i < end; ++i) stacks.push_back(report.groups[i].stack);
    frames.prepare(stacks);
    for (; shown < end; ++shown) {
      out(shown == 0 ? "\n" : ",\n");
      write_group(report, report.groups[shown], frames, out);
    }
    if (shown == count) break;
    target.progress(shown, count, "writing stacks");
    stopped = target.interrupted();
  }
  std::uint64_t bytes = 0;
  std::uint64_t allocations = 0;
  for (const OutstandingGroup& group : report.groups) {
    bytes += group.bytes;
    allocations += group.count;
  }
  const Json total{{"bytes", bytes}, {"count", allocations}, {"groups", report.groups.size()}};
  out(fmt::format("],\n\"total\":{},\"shown\":{},\"interrupted\":{},\"coverage\":{}}}\n",
                  json_text(total), shown, stopped, json_text(coverage_json(report.coverage))));
}

}  // namespace heapledger
