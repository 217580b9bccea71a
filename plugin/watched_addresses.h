// SPDX-License-Identifier: Apache-2.0
//
// Addresses that the engine wants to be told of (TargetControl::watch): a hidden breakpoint each, whose
// callback lets the program go on. Costs 0.7 to 1.5 ms a hit in LLDB, which steps over the breakpoint
// with 7 packets to its server.
#pragma once

#include <lldb/API/LLDB.h>

#include <unordered_map>

#include "inferior/target.h"

namespace heapledger {

class WatchedAddresses {
 public:
  Result<void> watch(lldb::SBTarget& target, Address address, WatchVisitor& visitor);
  void unwatch(lldb::SBTarget& target, Address address);
  // The process image is gone: breakpoints would wait in the next one.
  void remove_all(lldb::SBTarget& target);

  // `thread` came to the breakpoint there.
  void reached(lldb::SBThread& thread, Address address);

 private:
  struct Watched {
    lldb::break_id_t breakpoint;
    WatchVisitor* visitor;
  };
  std::unordered_map<Address, Watched> watched_;
};

}  // namespace heapledger
