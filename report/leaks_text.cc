// SPDX-License-Identifier: Apache-2.0
//
//	HEAP SUMMARY:
//	    in use at exit: 176 bytes in 8 blocks
//	  total heap usage: 10 allocs, 2 frees, 76,976 bytes allocated
//
//	64 (16 direct, 48 indirect) bytes in 1 blocks are definitely lost in loss record 4 of 4
//	   at 0x10918E: mk(int) (t.cpp:6)
//	   by 0x1091AD: main (t.cpp:9)
//
//	LEAK SUMMARY:
//	   definitely lost: 16 bytes in 1 blocks
//	   ...
#include <fmt/format.h>

#include <algorithm>

#include "report/leaks.h"
#include "report/numbers.h"

namespace heapledger {
namespace {

constexpr std::size_t kRecordsPerLookup = 64;
constexpr Heuristic kValgrindsHeuristics[] = {Heuristic::stdstring, Heuristic::length64,
                                              Heuristic::newarray, Heuristic::multiple_inheritance,
                                              Heuristic::runtime};

// "1,024 bytes in 1 blocks": Valgrind never says "1 block".
std::string amount(Total total) {
  return fmt::format("{} bytes in {} blocks", with_commas(total.bytes), with_commas(total.blocks));
}

std::string heap_summary(const LeakReport& report) {
  Total in_use;
  for (const Total& total : report.scan.scan.summary().totals) {
    in_use.bytes += total.bytes;
    in_use.blocks += total.blocks;
  }
  const std::string first = fmt::format("HEAP SUMMARY:\n    in use at {}: {}\n",
                                        report.at_exit ? "exit" : "stop", amount(in_use));
  if (!report.coverage.recorded) return first + "  total heap usage: unknown, not tracked\n\n";
  const LedgerCounters& counters = report.ledger.counters();
  return first + fmt::format("  total heap usage: {} allocs, {} frees, {} bytes allocated\n\n",
                             with_commas(counters.allocations), with_commas(counters.releases),
                             with_commas(counters.bytes));
}

std::string heuristics(const Summary& summary) {
  std::string lines;
  for (Heuristic heuristic : kValgrindsHeuristics) {
    const Total total = summary.by_heuristic[static_cast<std::size_t>(heuristic)];
    if (total.blocks == 0) continue;
    lines += fmt::format("                        {:<19}: {}\n", heuristic_name(heuristic),
                         amount(total));
  }
  if (lines.empty()) return lines;
  return "                      of which reachable via heuristic:\n" + lines;
}

std::string leak_summary(const Summary& summary, bool reliable) {
  const auto line = [&](std::string_view label, Verdict verdict) {
    return fmt::format("{:>18}: {}\n", label, amount(summary[verdict]));
  };
  return std::string(reliable ? "LEAK SUMMARY:\n" : "LEAK SUMMARY (unreliable):\n") +
         line("definitely lost", Verdict::definitely_lost) +
         line("indirectly lost", Verdict::indirectly_lost) +
         line("possibly lost", Verdict::possibly_lost) +
         line("still reachable", Verdict::still_reachable) + heuristics(summary) +
         line("suppressed", Verdict::suppressed);
}

std::string record_head(const NumberedRecord& numbered, std::size_t all) {
  const LossRecord& record = numbered.record;
  std::string bytes = with_commas(record.bytes);
  if (record.indirect_blocks != 0) {
    bytes = fmt::format("{} ({} direct, {} indirect)", with_commas(record.total_bytes()),
                        with_commas(record.bytes), with_commas(record.indirect_bytes));
  }
  return fmt::format("{} bytes in {} blocks are {} in loss record {} of {}\n", bytes,
                     with_commas(record.blocks), verdict_name(record.kind),
                     with_commas(numbered.number), with_commas(all));
}

std::string stack_lines(const LeakReport& report, const LossRecord& record,
                        const FrameResolver& frames) {
  if (const BlockShape* shape = shape_of(report, record)) {
    return fmt::format("   {}\n   {}\n", untracked_name(report.coverage),
                       shape_words(*shape));
  }
  const std::vector<CodeAddress> stack = stack_of(report, record);
  if (stack.empty()) return "   <stack not recorded>\n";
  std::string text;
  const char* word = "at";
  for (const SymbolFrame& frame : frames.frames(stack)) {
    text += fmt::format("   {} {}\n", word, valgrind_frame(frame, report.mappings));
    word = "by";
  }
  return text;
}

// As Valgrind's block_list: address and size.
void write_addresses(const LeakReport& report, const LossRecord& record, const Sink& out) {
  std::string text;
  for (BlockIndexNumber block : report.scan.scan.members(record)) {
    const Block& b = report.scan.scan.blocks()[block];
    text += fmt::format("     {:#x}[{}]\n", b.start, b.size);
  }
  out(text);
}

std::size_t write_records(const LeakReport& report, const RecordSelection& selection,
                          FrameResolver& frames, Target& target, const Sink& out) {
  std::size_t done = 0;
  while (done < selection.shown.size()) {
    const std::size_t end = std::min(selection.shown.size(), done + kRecordsPerLookup);
    std::vector<std::vector<CodeAddress>> stacks;
    for (std::size_t i = done; i < end; ++i) {
      stacks.push_back(stack_of(report, selection.shown[i].record));
    }
    frames.prepare(stacks);
    for (; done < end; ++done) {
      const NumberedRecord& numbered = selection.shown[done];
      out(record_head(numbered, selection.all) + stack_lines(report, numbered.record, frames));
      if (report.addresses) write_addresses(report, numbered.record, out);
      out("\n");
    }
    if (done == selection.shown.size()) break;
    target.progress(done, selection.shown.size(), "printing loss records");
    if (target.interrupted()) break;
  }
  return done;
}

}  // namespace

void write_leaks_text(const LeakReport& report, FrameResolver& frames, Target& target,
                      const Sink& out) {
  const Summary& summary = report.scan.scan.summary();
  out(heap_summary(report));
  const RecordSelection selection = select_records(report);
  const std::size_t done = write_records(report, selection, frames, target, out);
  out(leak_summary(summary, report.coverage.missing_evidence.empty()));
  if (done < selection.shown.size()) {
    out(fmt::format("note: interrupted: {} of {} loss records shown\n", done,
                    selection.shown.size()));
  }
  if (selection.cut != 0) {
    out(fmt::format("{} smaller loss records are not shown (--limit {}).\n", selection.cut,
                    *report.limit));
  }
  if (!report.show.contains(Verdict::still_reachable) &&
      summary[Verdict::still_reachable].blocks != 0) {
    out("Reachable blocks (those to which a pointer was found) are not shown.\n"
        "To see them: leaks --show-kinds all\n");
  }
  out(note_lines(scan_notes(report)));
}

}  // namespace heapledger
