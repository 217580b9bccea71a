// SPDX-License-Identifier: Apache-2.0
//
// What a debugged program makes up - names of modules, symbols, threads, files - may be made to take a
// terminal over (ECMA-48 control functions), so nothing is shown as it comes.
#pragma once

#include <string>
#include <string_view>

namespace heapledger {

// Control characters but newline and tab, and bytes that are no UTF-8, become \xNN, byte by byte. C1
// controls (U+0080 to U+009F) are control characters, and so is what turns the direction of text.
std::string printable(std::string_view text);

// The same of a name, which goes into a line of a report and shall not begin one of its own: newline and tab,
// too.
std::string one_line(std::string_view name);

}  // namespace heapledger
