// SPDX-License-Identifier: Apache-2.0
#include "plugin/watched_addresses.h"

#include "plugin/debuggee.h"
#include "plugin/entry.h"
#include "plugin/own_breakpoints.h"
#include "plugin/registers.h"
#include "plugin/sb_text.h"

namespace heapledger {
namespace {

bool on_watched(void*, lldb::SBProcess& process, lldb::SBThread& thread,
                lldb::SBBreakpointLocation& location) {
  report_trouble(process, enter([&] {
    const Address address = location.GetLoadAddress();
    Debuggees::instance().of(process.GetTarget()).watched_address(thread, address);
  }));
  return false;  // the program goes on
}

}  // namespace

Result<void> WatchedAddresses::watch(lldb::SBTarget& target, Address address,
                                     WatchVisitor& visitor) {
  if (const auto known = watched_.find(address); known != watched_.end()) {
    known->second.visitor = &visitor;
    return {};
  }
  lldb::SBBreakpoint breakpoint = target.BreakpointCreateByAddress(address);
  if (!breakpoint.IsValid() || breakpoint.GetNumResolvedLocations() != 1) {
    if (breakpoint.IsValid()) target.BreakpointDelete(breakpoint.GetID());
    return fail("cannot watch {:#x}: LLDB cannot set a breakpoint there", address);
  }
  breakpoint.SetCallback(on_watched, nullptr);
  breakpoint.AddName(kBreakpointName);
  hide(target, breakpoint);
  watched_[address] = {breakpoint.GetID(), &visitor};
  return {};
}

void WatchedAddresses::unwatch(lldb::SBTarget& target, Address address) {
  const auto known = watched_.find(address);
  if (known == watched_.end()) return;
  target.BreakpointDelete(known->second.breakpoint);
  watched_.erase(known);
}

void WatchedAddresses::remove_all(lldb::SBTarget& target) {
  for (const auto& [address, one] : watched_) target.BreakpointDelete(one.breakpoint);
  watched_.clear();
}

void WatchedAddresses::reached(lldb::SBThread& thread, Address address) {
  const auto known = watched_.find(address);
  if (known != watched_.end()) known->second.visitor->reached(watched_stop(thread, address));
}

}  // namespace heapledger
