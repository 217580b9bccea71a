// SPDX-License-Identifier: Apache-2.0
//
// leaks at-exit, leaks verdict: a scan when the program ends, and the exit code that follows.
#include <fmt/format.h>

#include "commands/judgement.h"
#include "commands/kinds.h"
#include "commands/registry.h"

namespace heapledger {
namespace {

Result<void> run_at_exit(Context& context, const Arguments& arguments) {
  AtExit at_exit;
  auto options = leak_options(arguments);
  if (!options) return tl::unexpected(options.error());
  at_exit.options = std::move(*options);
  const auto errors = parse_kinds("--errors-for-leak-kinds",
                                  arguments.value("--errors-for-leak-kinds").value_or(kDefaultKinds));
  if (!errors) return tl::unexpected(errors.error());
  at_exit.errors = *errors;
  const auto code = arguments.number("--error-exitcode");
  if (!code) return tl::unexpected(code.error());
  if (code->value_or(1) > 255) {
    return fail("--error-exitcode must be a number up to 255, not '{}'", **code);
  }
  at_exit.error_code = int(code->value_or(1));
  at_exit.json = arguments.value("--format") == "json";
  at_exit.output = arguments.value("--output").value_or("");
  context.at_exit = std::make_unique<AtExit>(std::move(at_exit));
  context.judgement.reset();
  context.exit_code = kNeverJudged;  // until the scan says otherwise
  context.target.out("The process will be scanned for leaks when it ends.\n");
  context.open_exit_gate();
  if (!context.no_exit_gate.empty()) {
    context.target.out(fmt::format(
        "A breakpoint at _exit waits for that, and stays if the debugger is killed: {}\n",
        context.no_exit_gate));
  }
  return {};
}

Result<void> run_verdict(Context& context, const Arguments&) {
  if (!context.at_exit) {
    context.exit_code = kNeverJudged;
    return fail("nothing to judge: `leaks at-exit` was not given");
  }
  if (!context.judgement) {
    context.exit_code = kNeverJudged;
    context.target.out("verdict: never judged: the process did not come to its end\n");
    return {};
  }
  context.exit_code = context.judgement->exit_code;
  context.target.out(fmt::format("verdict: {}\n", context.judgement->words));
  return {};
}

}  // namespace

Command at_exit_command() {
  std::vector<OptionSpec> options = {
      {"--error-exitcode", "N", "the debugger's exit code when something is lost; 1 when not given"},
      {"--errors-for-leak-kinds", "KINDS",
       fmt::format("what counts as lost: a list of {}; {} when not given", kKindWords, kDefaultKinds)},
  };
  for (OptionSpec& option : leak_option_specs()) options.push_back(std::move(option));
  return {
      .name = "at-exit",
      .summary = "scan when the program ends, and set the debugger's exit code",
      .text =
          "When the program calls _exit, after destructors and atexit handlers, the report of\n"
          "`leaks` is printed. For batch runs: the debugger then ends with the code given by\n"
          "--error-exitcode when something is lost, with the program's own status when nothing is,\n"
          "and with 2 when the process was never judged (it crashed, was killed, or too little was\n"
          "seen).\n",
      .options = std::move(options),
      .examples = {"leaks at-exit", "leaks at-exit --error-exitcode 42 --show-kinds all"},
      .run = run_at_exit,
  };
}

Command verdict_command() {
  return {
      .name = "verdict",
      .summary = "tell what the scan at exit said, and set the exit code again",
      .text =
          "As the last command of a batch run it makes sure that the run cannot succeed when\n"
          "heapledger was not loaded.\n",
      .examples = {"leaks verdict"},
      .run = run_verdict,
  };
}

}  // namespace heapledger
