// SPDX-License-Identifier: Apache-2.0
//
// Breakpoint traps inside a piece of code. LLDB's WriteMemory replaces an inserted trap by the new
// byte and never inserts it again, so traps are taken out around a write.
#pragma once

#include <lldb/API/LLDB.h>

#include <vector>

#include "inferior/address.h"

namespace heapledger {

// Locations of breakpoints that LLDB's API shows (the user's and ours), enabled and resolved, in
// the range.
std::vector<lldb::SBBreakpointLocation> breakpoint_locations_in(lldb::SBTarget& target,
                                                                AddressRange range);

// Traps in the range: of those, and of LLDB's internal breakpoints, which show only as a difference
// between memory as it is and as LLDB presents it.
std::vector<Address> traps_in(lldb::SBTarget& target, AddressRange range);

// Takes the visible breakpoints in a range out as long as it lives.
class WithoutBreakpoints {
 public:
  WithoutBreakpoints(lldb::SBTarget& target, AddressRange range);
  ~WithoutBreakpoints();
  WithoutBreakpoints(const WithoutBreakpoints&) = delete;
  WithoutBreakpoints& operator=(const WithoutBreakpoints&) = delete;

 private:
  std::vector<lldb::SBBreakpointLocation> disabled_;
};

}  // namespace heapledger
