// SPDX-License-Identifier: Apache-2.0
//
// What the dynamic loader says of itself at its debugger event (struct r_debug, <link.h>).
#pragma once

#include <cstdint>

#include "inferior/memory.h"

namespace heapledger::plugin {

// Are the libraries that are mapped also relocated (RT_CONSISTENT)? True as well for programs without
// a loader. r_debug is found through the auxiliary vector and the program's DT_DEBUG, which glibc and
// musl both fill in.
bool loader_is_consistent(std::uint64_t pid, const Memory& memory);

}  // namespace heapledger::plugin
