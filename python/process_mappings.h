// SPDX-License-Identifier: Apache-2.0
//
// gdb's own list of a remote process's mappings, which is text.
#pragma once

#include <string>

#include "inferior/mappings.h"
#include "inferior/result.h"

namespace heapledger {

// Of `info proc mappings`: start, end, size, offset, permissions, file. Ascending; an empty list or
// one that is not in order (a remote server may say anything) is an Error.
Result<Mappings> parse_process_mappings(const std::string& text);

}  // namespace heapledger
