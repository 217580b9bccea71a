// SPDX-License-Identifier: Apache-2.0
#include "tracking/call_filters.h"

#include "inferior/process_limits.h"

namespace heapledger {

Result<void> check_filters(Target& target) {
#ifdef HEAPLEDGER_MUTANT_FILTERS_IGNORED
  return {};
#endif
  if (target.kind() != ProcessKind::live_local || !has_own_filters(target.pid())) return {};
  return fail("process {} is under a seccomp filter of its own, which may kill it for memory that tracking "
              "maps there; `leaks start --engine breakpoint` maps none, `leaks start --despite-seccomp` "
              "tries it all the same",
              target.pid());
}

std::string may_be_forbidden(Target& target) {
  if (target.kind() != ProcessKind::live_local || !is_filtered(target.pid())) return "";
  return "; the process is under a seccomp filter, which may forbid it";
}

}  // namespace heapledger
