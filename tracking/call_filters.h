// SPDX-License-Identifier: Apache-2.0
//
// Filters of system calls (seccomp) around a process. Bringing the agent in makes the process call mmap,
// with PROT_EXEC too, and a filter may answer that with an error or with its death; which of them cannot
// be read without privileges. So a process with filters of its own is left alone until the user says
// otherwise. Those that the debugger lives under as well (a container's) are taken for harmless: the debugger
// maps libraries all the time.
#pragma once

#include "inferior/target.h"

namespace heapledger {

// An Error: the process is under filters that this debugger is not under.
Result<void> check_filters(Target& target);

// What may have forbidden it when bringing something in failed: "; ..." or nothing.
std::string may_be_forbidden(Target& target);

}  // namespace heapledger
