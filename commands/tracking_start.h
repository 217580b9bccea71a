// SPDX-License-Identifier: Apache-2.0
//
// Starting tracking, by the user's word or by a loader event: the same conditions, the same line.
#pragma once

#include "commands/context.h"
#include "inferior/result.h"

namespace heapledger {

// Whether the process can be tracked that way; else the user's words.
Result<void> trackable(const Context& context, Engine engine);

// Starts with context.settings.tracking. Returns the line that tells what is hooked.
Result<std::string> start_tracking(Context& context);

}  // namespace heapledger
