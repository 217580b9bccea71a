// SPDX-License-Identifier: Apache-2.0
//
// The scan at the end of a process.
#pragma once

#include <optional>
#include <string>

#include "commands/context.h"

namespace heapledger {

// context.at_exit is set; the program called _exit(status). Returns the text for the user and keeps
// it and the judgement in the context. `exit_code` is always set.
std::string report_at_exit(Context& context, int status, std::optional<int>& exit_code);

}  // namespace heapledger
