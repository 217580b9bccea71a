// SPDX-License-Identifier: Apache-2.0
#include "plugin/breakpoint_sites.h"

#include <algorithm>

#include "inferior/local_memory.h"

namespace heapledger {
namespace {

constexpr std::byte kTrap{0xcc};

// Where memory holds a trap that LLDB hides. Nothing is hidden in what cannot be read both ways.
std::vector<Address> hidden_traps(lldb::SBTarget& target, AddressRange range) {
  lldb::SBProcess process = target.GetProcess();
  std::vector<std::byte> shown(range.size()), actual(range.size());
  lldb::SBError error;
  const std::size_t got = process.ReadMemory(range.begin, shown.data(), shown.size(), error);
  if (error.Fail() || got != shown.size()) return {};
  const std::size_t read =
      LocalMemory(process.GetProcessID()).read_up_to(range.begin, std::span(actual));
  std::vector<Address> traps;
  for (std::size_t i = 0; i < read; ++i) {
    if (actual[i] == kTrap && shown[i] != kTrap) traps.push_back(range.begin + i);
  }
  return traps;
}

}  // namespace

std::vector<lldb::SBBreakpointLocation> breakpoint_locations_in(lldb::SBTarget& target,
                                                                AddressRange range) {
  std::vector<lldb::SBBreakpointLocation> found;
  for (std::uint32_t i = 0; i < target.GetNumBreakpoints(); ++i) {
    lldb::SBBreakpoint breakpoint = target.GetBreakpointAtIndex(i);
    if (!breakpoint.IsEnabled()) continue;
    for (std::uint32_t j = 0; j < breakpoint.GetNumLocations(); ++j) {
      lldb::SBBreakpointLocation location = breakpoint.GetLocationAtIndex(j);
      if (location.IsEnabled() && location.IsResolved() &&
          range.contains(location.GetLoadAddress())) {
        found.push_back(location);
      }
    }
  }
  return found;
}

std::vector<Address> traps_in(lldb::SBTarget& target, AddressRange range) {
  std::vector<Address> traps = hidden_traps(target, range);
  for (lldb::SBBreakpointLocation& location : breakpoint_locations_in(target, range)) {
    traps.push_back(location.GetLoadAddress());
  }
  std::sort(traps.begin(), traps.end());
  traps.erase(std::unique(traps.begin(), traps.end()), traps.end());
  return traps;
}

WithoutBreakpoints::WithoutBreakpoints(lldb::SBTarget& target, AddressRange range)
    : disabled_(breakpoint_locations_in(target, range)) {
  for (lldb::SBBreakpointLocation& location : disabled_) location.SetEnabled(false);
}

WithoutBreakpoints::~WithoutBreakpoints() {
  for (lldb::SBBreakpointLocation& location : disabled_) location.SetEnabled(true);
}

}  // namespace heapledger
