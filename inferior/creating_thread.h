// SPDX-License-Identifier: Apache-2.0
//
// Is a thread in the middle of fork, vfork or clone? A tracer may see it stopped there (PTRACE_EVENT_*),
// inside the system call: registers written then are not those the call returns with, so a debugger
// that borrows such a thread to make a call of its own ruins both. fork() then fails with ENOSYS in the
// program, and the borrowed call seems to return the child's process id.
#pragma once

#include <cstdint>

namespace heapledger {

// Until the call has a result its register rax holds -ENOSYS. False also when the kernel does not tell (/proc/PID/task/TID/syscall).
bool is_creating_another(std::uint64_t pid, std::uint64_t tid);

}  // namespace heapledger
