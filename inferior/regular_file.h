// SPDX-License-Identifier: Apache-2.0
//
// Opening a file that a process or a core names. Whoever made it up may have put a pipe there, where
// open(2) would wait for ever, a device, whose driver would act, or a link out of the process's own file
// system into the debugger's.
#pragma once

#include <cstdint>
#include <string>

#include "inferior/result.h"

namespace heapledger {

// A descriptor for reading, closed on exec, to be closed by the caller. The Error is the reason alone; what
// is no regular file is not opened.
Result<int> open_regular(const std::string& path);

// The same of an absolute path as process `pid` sees it: in its mount namespace, links within its root
// (openat2(2); before Linux 5.6 absolute links lead to this process's files).
Result<int> open_regular_of(std::uint64_t pid, const std::string& path);

}  // namespace heapledger
