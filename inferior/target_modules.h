// SPDX-License-Identifier: Apache-2.0
//
// The modules of what a Target is: of a local process with the help of /proc, of a core from its
// mappings and the files alone (its process id may be another process's by now), of a process on
// another machine from the debugger's list (remote_modules.h).
#pragma once

#include <vector>

#include "inferior/modules.h"
#include "inferior/target.h"

namespace heapledger {

Result<std::vector<Module>> read_modules(Target& target, const Mappings& mappings);

}  // namespace heapledger
