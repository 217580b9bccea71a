// SPDX-License-Identifier: Apache-2.0
//
// Whether the loader has been through a module's relocations. Before that its code must not be called: a
// debugger is told of a library that was loaded by dlopen, and of its symbols, when it is mapped.
#pragma once

#include "inferior/memory.h"
#include "inferior/modules.h"

namespace heapledger {

// By the first word that only depends on where the module is. True where nothing tells.
bool is_relocated(const Module& module, const Memory& memory);

}  // namespace heapledger
