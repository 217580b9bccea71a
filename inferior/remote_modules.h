// SPDX-License-Identifier: Apache-2.0
//
// The modules of a process on another machine, whose mappings' files are not here: as the debugger
// lists them.
#pragma once

#include <vector>

#include "inferior/modules.h"
#include "inferior/target.h"

namespace heapledger {

// Sorted by address. A module counts only when this machine has a file of the very image that is in
// memory there; the others are left out.
std::vector<Module> remote_modules(Target& target);

}  // namespace heapledger
