// SPDX-License-Identifier: Apache-2.0
//
// Puts unwind rules where the agent reads them: tables per module, and a sorted module list that is
// replaced as a whole. Old lists and tables stay mapped and unchanged, because a thread may be
// stopped in the middle of reading one.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "inferior/target.h"
#include "tracking/code_map.h"

namespace heapledger {

class RulePublisher {
 public:
  RulePublisher(Target& target, TargetControl& control) : target_(target), control_(control) {}

  // Threads may run when the control says so; everything is published with one store. `state` is the
  // agent::State's address, `rules_purged`: code went away, so
  // cached rules may be stale and the cache is emptied.
  Result<void> publish(Address state, const CodeMap& code, bool code_went_away);
  void forget();
  const std::vector<AddressRange>& memory() const { return memory_; }

 private:
  struct Tables {
    Address offsets = 0, index = 0, bodies = 0;
  };
  Result<Address> allocate(std::uint64_t size);  // zeroed, never used before
  Result<void> write_tables(const std::vector<std::shared_ptr<const UnwindTable>>& tables);
  Result<void> empty_cache(Address state);
  Result<void> empty_in_place(Address cache, std::uint64_t buckets);

  Target& target_;
  TargetControl& control_;
  std::map<std::shared_ptr<const UnwindTable>, Tables> written_;
  std::vector<AddressRange> memory_;
  AddressRange free_;  // of the newest piece of memory_
  std::uint32_t generation_ = 0;
  static constexpr unsigned kMostCaches = 32;
  unsigned caches_ = 0;  // given to running threads so far
};

}  // namespace heapledger
