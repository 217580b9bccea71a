// SPDX-License-Identifier: Apache-2.0
//
// write(2) in a debugger's process: that nobody reads a pipe any more, or that a file may not grow
// (RLIMIT_FSIZE), is told by errno alone. The signals that come with it would end the debugger.
#pragma once

#include <cstddef>
#include <span>

#include <sys/types.h>

namespace heapledger {

// As write(2): bytes written, or -1 and errno, EPIPE and EFBIG among them.
ssize_t quiet_write(int fd, std::span<const std::byte> bytes);

}  // namespace heapledger
