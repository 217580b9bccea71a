// SPDX-License-Identifier: Apache-2.0
//
// A file that exists only in this process (memfd), for debuggers that take modules from paths.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "inferior/result.h"

namespace heapledger {

// A descriptor, closed on exec, to be closed by the caller; its path is /proc/PID/fd/N.
Result<int> file_in_memory(std::span<const std::byte> contents, const std::string& name);

}  // namespace heapledger
