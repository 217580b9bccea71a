// SPDX-License-Identifier: Apache-2.0
//
// Whether a local process really stands still, asked of the kernel: debuggers know of their own view only.
#pragma once

#include <cstdint>

namespace heapledger {

// Every thread is in a ptrace or job-control stop, or is dead (/proc/PID/task/TID/stat, field 3). False
// when the process cannot be looked at.
bool all_tasks_stopped(std::uint64_t pid);

}  // namespace heapledger
