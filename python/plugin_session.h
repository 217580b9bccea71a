// SPDX-License-Identifier: Apache-2.0
//
// The session of heapledger's plugin in the LLDB this Python runs in.
#pragma once

#include <string>
#include <vector>

namespace heapledger {

// Runs the words after `leaks` for the selected target and returns what the command printed. What went
// wrong, or that no plugin is loaded, is thrown as a std::runtime_error with one line.
std::string plugin_query(const std::vector<std::string>& words);

}  // namespace heapledger
