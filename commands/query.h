// SPDX-License-Identifier: Apache-2.0
//
// The one C function the LLDB plugin exports beside LLDB's own entry, for scripts in the same process
// (python/). Plain types: the two are separate shared objects.
#pragma once

#include <cstddef>

namespace heapledger {

inline constexpr const char* kQuerySymbol = "heapledger_query_1";

// Runs the words after `leaks` for the selected target of the debugger that loaded the plugin last.
// `take` gets the output, or, when 0 is returned, one line that says what went wrong.
using Query = int(const char* const* words, std::size_t count,
                  void (*take)(void* baton, const char* text, std::size_t size), void* baton);

}  // namespace heapledger
