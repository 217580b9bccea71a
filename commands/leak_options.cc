// SPDX-License-Identifier: Apache-2.0
#include "commands/leak_options.h"

#include <fmt/format.h>

#include "commands/kinds.h"

namespace heapledger {

std::vector<OptionSpec> leak_option_specs() {
  return {
      {"--show-kinds", "KINDS",
       fmt::format("loss records to show: a list of {}; {} when not given", kKindWords,
                   kDefaultKinds)},
      {"--limit", "N", "only the N largest loss records"},
      {"--addresses", "", "list the blocks of every loss record"},
      {"--leader", "exact|valgrind",
       "how the head of a lost group is chosen: exactly, or by addresses as Valgrind does",
       {"exact", "valgrind"}},
      format_option(),
      output_option(),
  };
}

Result<LeakOptions> leak_options(const Arguments& arguments) {
  LeakOptions options;
  const auto show =
      parse_kinds("--show-kinds", arguments.value("--show-kinds").value_or(kDefaultKinds));
  if (!show) return tl::unexpected(show.error());
  options.show = *show;
  const auto limit = arguments.number("--limit");
  if (!limit) return tl::unexpected(limit.error());
  if (*limit && **limit == 0) return fail("--limit must be a number from 1 up, not '0'");
  if (*limit) options.limit = std::size_t(**limit);
  options.addresses = arguments.has("--addresses");
  if (arguments.value("--leader") == "valgrind") options.leader = LeaderRule::valgrind;
  return options;
}

void write_leaks(Context& context, const ProcessScan& scan, const Ledger& ledger,
                 const LeakOptions& options, bool at_exit, bool json, const Sink& out) {
  const auto mappings = context.target.mappings();
  const LeakReport report{.scan = scan,
                          .ledger = ledger,
                          .show = options.show,
                          .limit = options.limit,
                          .addresses = options.addresses,
                          .at_exit = at_exit,
                          .coverage = context.coverage(ledger),
                          .mappings = mappings.value_or(Mappings()),
                          .shapes = &context.shapes()};
  FrameResolver frames = context.frame_resolver();
  const auto write = json ? write_leaks_json : write_leaks_text;
  write(report, frames, context.target, out);
}

}  // namespace heapledger
