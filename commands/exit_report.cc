// SPDX-License-Identifier: Apache-2.0
#include "commands/exit_report.h"

#include <fmt/format.h>

#include "commands/judgement.h"
#include "inferior/printable.h"

namespace heapledger {
namespace {

// The report, into the file that was asked for or as text. An Error leaves the process unjudged.
Result<std::string> report_and_judge(Context& context, int status) {
  const AtExit& at_exit = *context.at_exit;
  const auto ledger = context.ledger();
  if (!ledger) return tl::unexpected(ledger.error());
  const auto scan = context.scan(at_exit.options.leader);
  if (!scan) return tl::unexpected(scan.error());

  std::string report;
  write_leaks(context, **scan, **ledger, at_exit.options, true, at_exit.json,
              [&](std::string_view text) { report += text; });
  if (!at_exit.output.empty()) {
    auto file = OutputFile::open(at_exit.output);
    if (!file) return tl::unexpected(file.error());
    file->write(at_exit.json ? report : printable(report));
    auto done = file->commit();
    if (!done) return tl::unexpected(done.error());
  }
  *context.judgement = judge(at_exit, (*scan)->scan.summary(), (*scan)->scan.coverage(), status);
  context.last_report = report;
  return at_exit.output.empty() ? report
                                : fmt::format("Wrote {} bytes to {}\n", report.size(),
                                              at_exit.output);
}

}  // namespace

std::string report_at_exit(Context& context, int status, std::optional<int>& exit_code) {
  context.judgement = std::make_unique<Judgement>();
  auto text = report_and_judge(context, status);
  if (!text) {
    context.judgement->words = "not judged: " + text.error().message;
    text = fmt::format("heapledger: {}\n", context.judgement->words);
  }
  exit_code = context.judgement->exit_code;
  return *text;
}

}  // namespace heapledger
