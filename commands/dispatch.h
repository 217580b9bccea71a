// SPDX-License-Identifier: Apache-2.0
//
// From the words after `leaks` to a command that runs.
#pragma once

#include <span>
#include <string>

#include "commands/context.h"
#include "inferior/result.h"

namespace heapledger {

Result<void> run_command(Context& context, std::span<const std::string> words);

}  // namespace heapledger
