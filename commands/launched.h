// SPDX-License-Identifier: Apache-2.0
//
// Whether a process was started by the debugger that holds it.
#pragma once

#include <cstdint>

namespace heapledger {

// False only when the kernel says that the process's tracer is not its parent: it was attached to.
// (LLDB launches from lldb-server, gdb from itself; a shell in between is replaced by the program.)
bool launched_by_its_tracer(std::uint64_t pid);

}  // namespace heapledger
