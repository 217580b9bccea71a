// SPDX-License-Identifier: Apache-2.0
//
// {"summary":{"definitely_lost":{"bytes","blocks"},...},
//  "records":[{"kind","bytes","blocks","indirect_bytes","indirect_blocks","loss_record",
//              "stack":[frame],"addresses":[{"address","size"}],
//              "shape":{"min_size","max_size","guess","type"} }],   (blocks that nobody tracked)
//  "loss_records","interrupted","coverage":{...,"notes":[""]}}
#include <fmt/format.h>

#include <algorithm>

#include "report/leaks.h"

namespace heapledger {
namespace {

constexpr std::size_t kRecordsPerLookup = 64;

Json total_json(Total total) { return Json{{"bytes", total.bytes}, {"blocks", total.blocks}}; }

Json summary_json(const Summary& summary) {
  return Json{{"definitely_lost", total_json(summary[Verdict::definitely_lost])},
              {"indirectly_lost", total_json(summary[Verdict::indirectly_lost])},
              {"possibly_lost", total_json(summary[Verdict::possibly_lost])},
              {"still_reachable", total_json(summary[Verdict::still_reachable])},
              {"suppressed", total_json(summary[Verdict::suppressed])}};
}

Json heuristics_json(const Summary& summary) {
  Json object = Json::object();
  for (std::size_t i = 1; i < kHeuristicCount; ++i) {
    object[std::string(heuristic_name(Heuristic(i)))] = total_json(summary.by_heuristic[i]);
  }
  return object;
}

Json record_json(const LeakReport& report, const NumberedRecord& numbered,
                 const FrameResolver& frames) {
  const LossRecord& record = numbered.record;
  Json json{{"kind", verdict_name(record.kind)},
            {"bytes", record.bytes},
            {"blocks", record.blocks},
            {"indirect_bytes", record.indirect_bytes},
            {"indirect_blocks", record.indirect_blocks},
            {"loss_record", numbered.number},
            {"stack", frames_json(frames.frames(stack_of(report, record)))}};
  if (const BlockShape* shape = shape_of(report, record)) json["shape"] = shape_json(*shape);
  if (!report.addresses) return json;
  Json list = Json::array();
  for (BlockIndexNumber block : report.scan.scan.members(record)) {
    const Block& b = report.scan.scan.blocks()[block];
    list.push_back({{"address", b.start}, {"size", b.size}});
  }
  json["addresses"] = std::move(list);
  return json;
}

Json scan_coverage_json(const LeakReport& report) {
  const Coverage& c = report.scan.scan.coverage();
  Json json = coverage_json(report.coverage);
  json["root_bytes"] = c.root_bytes;
  json["block_bytes"] = c.block_bytes;
  json["unreadable_root_bytes"] = c.unreadable_root_bytes;
  json["unreadable_block_bytes"] = c.unreadable_block_bytes;
  json["skipped_shared_bytes"] = c.skipped_shared_bytes;
  json["threads"] = c.threads;
  json["threads_without_registers"] = c.threads_without_registers;
  json["threads_without_stack"] = c.threads_without_stack;
  json["discarded_blocks"] = c.discarded_blocks;
  json["complete"] = c.complete() && report.coverage.missing_evidence.empty();
  json["notes"] = scan_notes(report);
  return json;
}

}  // namespace

void write_leaks_json(const LeakReport& report, FrameResolver& frames, Target& target,
                      const Sink& out) {
  const Summary& summary = report.scan.scan.summary();
  const RecordSelection selection = select_records(report);
  out(fmt::format("{{\"summary\":{},\n\"reachable_via_heuristic\":{},\n\"records\":[",
                  json_text(summary_json(summary)), json_text(heuristics_json(summary))));
  std::size_t done = 0;
  bool stopped = false;
  while (done < selection.shown.size() && !stopped) {
    const std::size_t end = std::min(selection.shown.size(), done + kRecordsPerLookup);
    std::vector<std::vector<CodeAddress>> stacks;
    for (std::size_t i = done; i < end; ++i) {
      stacks.push_back(stack_of(report, selection.shown[i].record));
    }
    frames.prepare(stacks);
    for (; done < end; ++done) {
      out((done == 0 ? "\n" : ",\n") +
          json_text(record_json(report, selection.shown[done], frames)));
    }
    if (done == selection.shown.size()) break;
    target.progress(done, selection.shown.size(), "writing loss records");
    stopped = target.interrupted();
  }
  out(fmt::format("],\n\"loss_records\":{},\"interrupted\":{},\n\"coverage\":{}}}\n", selection.all,
                  stopped, json_text(scan_coverage_json(report))));
}

}  // namespace heapledger
