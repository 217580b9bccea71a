// SPDX-License-Identifier: Apache-2.0
//
// Lists of leak kinds as Valgrind's users type them: definite,indirect,possible,reachable,all,none.
#pragma once

#include <string>

#include "commands/arguments.h"
#include "report/leaks.h"

namespace heapledger {

inline constexpr const char* kKindWords = "definite,indirect,possible,reachable,all,none";
inline constexpr const char* kDefaultKinds = "definite,possible";

// The Error names `option` and the word that is none of them.
Result<VerdictSet> parse_kinds(const std::string& option, const std::string& text);

}  // namespace heapledger
