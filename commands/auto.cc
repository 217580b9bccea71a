// SPDX-License-Identifier: Apache-2.0
//
// leaks auto: whether every later launch is tracked.
#include "commands/registry.h"

namespace heapledger {
namespace {

Result<void> run(Context& context, const Arguments& arguments) {
  bool& automatic = context.settings.automatic;
  if (arguments.positional()) automatic = *arguments.positional() == "on";
  context.target.out(automatic ? "auto is on: every launch is tracked from its start\n"
                               : "auto is off: `leaks start` tracks a process\n");
  return {};
}

}  // namespace

Command auto_command() {
  return {
      .name = "auto",
      .summary = "track every later launch: on or off",
      .text =
          "On when heapledger is loaded: a program that is launched under the debugger is tracked\n"
          "from before its first constructor on. Without an argument tells which it is. A process\n"
          "that is there already is not changed.\n",
      .positional = PositionalSpec{"on|off", false, "on or off", {"on", "off"}},
      .examples = {"leaks auto off"},
      .run = run,
  };
}

}  // namespace heapledger
