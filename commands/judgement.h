// SPDX-License-Identifier: Apache-2.0
//
// leaks at-exit: what was asked for, and what the scan at the end of the process said.
#pragma once

#include <optional>
#include <string>

#include "commands/leak_options.h"

namespace heapledger {

inline constexpr int kNeverJudged = 2;  // the debugger's exit code until a scan says otherwise

struct AtExit {
  LeakOptions options;
  VerdictSet errors;       // --errors-for-leak-kinds
  int error_code = 1;      // --error-exitcode
  bool json = false;
  std::string output;      // file; empty: the debugger
};

struct Judgement {
  int exit_code = kNeverJudged;
  std::string words;       // one line
};

// What a scan means for the exit code. `status` is the program's own. What could hide a leak makes
// it unjudged, unless there is a leak anyway.
Judgement judge(const AtExit& at_exit, const Summary& summary, const Coverage& coverage,
                int status);

}  // namespace heapledger
