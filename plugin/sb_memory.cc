// SPDX-License-Identifier: Apache-2.0
#include "plugin/sb_memory.h"

#include <algorithm>

namespace heapledger::plugin {

std::size_t SbMemory::read_up_to(Address address, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    Address at = address + done;
    lldb::SBMemoryRegionInfo region;
    std::size_t want = out.size() - done;
    if (process_.GetMemoryRegionInfo(at, region).Success()) {
      if (!region.IsReadable()) break;
      want = std::min<std::uint64_t>(want, region.GetRegionEnd() - at);
    }
    lldb::SBError error;
    std::size_t n = process_.ReadMemory(at, out.data() + done, want, error);
    if (n == 0) {  // text of a core is in the module's file only
      n = target_.ReadMemory(lldb::SBAddress(at, target_), out.data() + done, want, error);
    }
    if (n == 0) break;
    done += n;
  }
  return done;
}

}  // namespace heapledger::plugin
