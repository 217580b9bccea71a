// SPDX-License-Identifier: Apache-2.0
#include "tracking/unresolved_functions.h"

#include <utility>

#include "tracking/hook_list.h"

namespace heapledger {

void UnresolvedFunctions::give_to(EntryPointsFound& found) {
  found.add({.indirect = std::exchange(waiting_, {})});
}

void UnresolvedFunctions::take_from(EntryPointsFound& found) {
  for (const HookRequest& r : found.indirect) found.refused.push_back({r, kNotResolvedYet});
  waiting_ = std::exchange(found.indirect, {});
}

void UnresolvedFunctions::forget(AddressRange module_range) {
  std::erase_if(waiting_, [&](const HookRequest& r) { return module_range.contains(r.function); });
}

}  // namespace heapledger
