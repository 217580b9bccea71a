// SPDX-License-Identifier: Apache-2.0
//
// leaks: what is lost, as Valgrind tells it.
#include "commands/leak_options.h"
#include "commands/registry.h"

namespace heapledger {
namespace {

Result<void> run(Context& context, const Arguments& arguments) {
  const auto options = leak_options(arguments);
  if (!options) return tl::unexpected(options.error());
  if (context.target.state() == ProcessState::exited && !context.last_report.empty()) {
    context.target.out(context.last_report);
    return {};
  }
  const auto ledger = context.ledger();
  if (!ledger) return tl::unexpected(ledger.error());
  auto output = Output::open(context.target, arguments);
  if (!output) return tl::unexpected(output.error());
  const auto scan = context.scan(options->leader);
  if (!scan) return tl::unexpected(scan.error());
  write_leaks(context, **scan, **ledger, *options, false, output->json(), output->sink());
  return output->finish();
}

}  // namespace

Command scan_command() {
  return {
      .name = "",
      .summary = "find lost blocks: a reachability scan of the stopped process",
      .text =
          "Follows every pointer from the registers, stacks, thread-local storage, module data and\n"
          "other mapped memory through all blocks, and groups what is left by allocation stack,\n"
          "largest last. The words are Valgrind's:\n"
          "\n"
          "  definitely lost   nothing points to it any more\n"
          "  indirectly lost   only lost blocks point to it\n"
          "  possibly lost     found only by pointers into its middle\n"
          "  still reachable   a pointer to its start was found\n"
          "\n"
          "After the process has ended: the report of `leaks at-exit`, if it was given.\n",
      .options = leak_option_specs(),
      .examples = {"leaks", "leaks --show-kinds all --limit 20",
                   "leaks --format json --output leaks.json"},
      .run = run,
  };
}

}  // namespace heapledger
