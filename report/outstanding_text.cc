// SPDX-License-Identifier: Apache-2.0
//
//	[12:34:56] Top 1 stacks with outstanding allocations:
//		addr = 7f8f70863220 size = 8192
//		8192 bytes in 1 allocations from stack
//			fibonacci+0x1f [app] fib.c:12
#include <fmt/format.h>

#include <algorithm>

#include "report/numbers.h"
#include "report/outstanding.h"

namespace heapledger {
namespace {

constexpr std::size_t kStacksPerLookup = 64;   // named together, then printed
constexpr std::size_t kLinesPerPiece = 4096;   // addresses between two looks at Ctrl-C

bool write_addresses(const Ledger& ledger, const OutstandingGroup& group, Target& target,
                     const Sink& out) {
  std::string text;
  for (std::size_t i = 0; i < group.allocations.size(); ++i) {
    const Block block = ledger.allocation(group.allocations[i]).block;
    text += fmt::format("\taddr = {:x} size = {}\n", block.start, block.size);
    if ((i + 1) % kLinesPerPiece != 0) continue;
    out(text);
    text.clear();
    if (target.interrupted()) return false;
  }
  out(text);
  return true;
}

std::string stack_lines(const OutstandingReport& report, const OutstandingGroup& group,
                        const FrameResolver& frames) {
  if (group.shape) {
    return fmt::format("\t\t{}\n\t\t{}\n", untracked_name(report.coverage),
                       shape_words(report.shapes->shape(*group.shape)));
  }
  if (group.stack.empty()) return "\t\t<stack not recorded>\n";
  std::string text;
  for (const SymbolFrame& frame : frames.frames(group.stack)) {
    text += fmt::format("\t\t{}\n", memleak_frame(frame));
  }
  if (group.incomplete) text += "\t\t<stack is incomplete>\n";
  return text;
}

bool write_group(const OutstandingReport& report, const OutstandingGroup& group,
                 const FrameResolver& frames, Target& target, const Sink& out) {
  if (report.addresses && !write_addresses(report.ledger, group, target, out)) return false;
  out(fmt::format("\t{} bytes in {} allocations from stack\n{}", group.bytes, group.count,
                  stack_lines(report, group, frames)));
  return true;
}

std::string nothing(const OutstandingReport& report) {
  const std::size_t all = report.ledger.count();
  if (all == 0 || report.filter.empty()) return "No outstanding allocations.\n";
  return fmt::format("No outstanding allocations match {} ({} do not match).\n", report.filter, all);
}

}  // namespace

void write_outstanding_text(const OutstandingReport& report, FrameResolver& frames, Target& target,
                            const Sink& out) {
  const std::size_t count = std::min(report.limit, report.groups.size());
  if (count == 0) {
    out(nothing(report));
    out(coverage_text(report.coverage));
    return;
  }
  out(fmt::format("[{}] Top {} stacks with outstanding allocations:\n", report.time, count));
  std::size_t shown = 0;
  bool stopped = false;
  while (shown < count && !stopped) {
    const std::size_t end = std::min(count, shown + kStacksPerLookup);
    std::vector<std::vector<CodeAddress>> stacks;
    for (std::size_t i = shown; i < end; ++i) stacks.push_back(report.groups[i].stack);
    frames.prepare(stacks);
    for (; shown < end; ++shown) {
      stopped = !write_group(report, report.groups[shown], frames, target, out);
      if (stopped) break;
    }
    if (shown == count || stopped) break;
    if (count > kStacksPerLookup) target.progress(shown, count, "printing stacks");
    stopped = target.interrupted();
  }
  if (stopped) out(fmt::format("note: interrupted: {} of {} stacks shown\n", shown, count));
  out(coverage_text(report.coverage));
}

}  // namespace heapledger
