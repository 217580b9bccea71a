// SPDX-License-Identifier: Apache-2.0
//
// leaks roots: where the scan starts, and where not.
#include "commands/output.h"
#include "commands/registry.h"
#include "report/roots_report.h"

namespace heapledger {
namespace {

Result<void> run(Context& context, const Arguments& arguments) {
  const auto scan = context.scan();
  if (!scan) return tl::unexpected(scan.error());
  auto output = Output::open(context.target, arguments);
  if (!output) return tl::unexpected(output.error());
  output->sink()(output->json() ? json_text(roots_json((*scan)->scan)) + "\n"
                                : roots_text((*scan)->scan));
  return output->finish();
}

}  // namespace

Command roots_command() {
  return {
      .name = "roots",
      .summary = "list every mapping, and why it is or is not a root",
      .text =
          "A root is a place the program can get at: module data, live stack, thread-local storage,\n"
          "registers, memory it mapped. Dead stack, freed memory, the records of heapledger and the\n"
          "like are no roots. A mapping that alone keeps more than 1 % of all blocks reachable is\n"
          "pointed out.\n",
      .options = {format_option(), output_option()},
      .examples = {"leaks roots"},
      .run = run,
  };
}

}  // namespace heapledger
