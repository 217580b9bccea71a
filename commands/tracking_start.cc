// SPDX-License-Identifier: Apache-2.0
#include "commands/tracking_start.h"

#include "commands/hook_lines.h"

namespace heapledger {

Result<void> trackable(const Context& context, Engine engine) {
  auto there = context.stopped_process();
  if (!there) return there;
  switch (context.target.kind()) {
    case ProcessKind::core: return fail("a core file cannot be tracked: there is no process");
    case ProcessKind::live_remote:
      if (engine == Engine::breakpoint) break;
      return fail("process {} is on another machine, where the agent cannot be brought in: "
                  "`leaks start --engine breakpoint` tracks it, much slower",
                  context.target.pid());
    case ProcessKind::none: return fail("no process: run the program first");
    case ProcessKind::live_local: break;
  }
  return {};
}

Result<std::string> start_tracking(Context& context) {
  auto can = trackable(context, context.settings.tracking.engine);
  if (!can) return tl::unexpected(can.error());
  auto hooks = context.tracker.start(context.settings.tracking);
  context.forget_ledger();
  if (!hooks) {
    const std::string& reason = hooks.error().message;
    // The tracker names the option where it is the way out, and others where none of the kind is.
    const bool told = reason.find("leaks start") != std::string::npos || reason.find("cannot ") == 0;
    return fail("not tracking: {}{}", reason,
                told ? "" : "; for functions without a name: leaks start --hook malloc=ADDR");
  }
  context.stopped_by_user = false;
  return start_line(*hooks, context.tracker.engine());
}

}  // namespace heapledger
