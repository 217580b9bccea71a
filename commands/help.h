// SPDX-License-Identifier: Apache-2.0
//
// Help pages, made from the table of commands.
#pragma once

#include <string>

#include "commands/registry.h"

namespace heapledger {

std::string help_overview();
std::string help_page(const Command& command);

}  // namespace heapledger
