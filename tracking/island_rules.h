// SPDX-License-Identifier: Apache-2.0
//
// Unwind rules of islands: a displaced instruction has, in its trampoline, the rule it had at home.
#pragma once

#include <memory>
#include <vector>

#include "tracking/code_map.h"
#include "tracking/patcher.h"

namespace heapledger {

// Rules of the hooks that lie in `island`, relative to its first byte.
std::shared_ptr<const UnwindTable> island_rules(
    AddressRange island, const std::vector<std::unique_ptr<InstalledHook>>& hooks,
    const CodeMap& code);

}  // namespace heapledger
