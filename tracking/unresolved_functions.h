// SPDX-License-Identifier: Apache-2.0
//
// IFUNCs whose resolvers could not be called yet (resolve_indirect): named as not hooked, and kept for the
// next stop.
#pragma once

#include <vector>

#include "inferior/address.h"
#include "tracking/entry_points.h"

namespace heapledger {

class UnresolvedFunctions {
 public:
  // Those that wait are put back, to be resolved.
  void give_to(EntryPointsFound& found);
  // Those that are left. Each is among found.refused, too.
  void take_from(EntryPointsFound& found);
  // A module was unloaded.
  void forget(AddressRange module_range);
  void forget_all() { waiting_.clear(); }
  bool empty() const { return waiting_.empty(); }

 private:
  std::vector<HookRequest> waiting_;
};

}  // namespace heapledger
