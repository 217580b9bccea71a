// SPDX-License-Identifier: Apache-2.0
#include "plugin/call_stacks.h"

#include "tracking/signal_frame.h"

namespace heapledger {

bool CallStacks::returns_from_signal(const Memory& memory, Address pc) {
  const auto [known, is_new] = returns_from_signal_.try_emplace(pc, false);
  if (is_new) known->second = calls_sigreturn(memory, pc);
  return known->second;
}

// A call and what was inlined into it have one CFA; LLDB lists them innermost first, and only that one
// with the real pc. Artificial frames are tail calls it concluded, which left no return address.
std::vector<CodeAddress> CallStacks::of(lldb::SBThread& thread, const Memory& memory,
                                        std::size_t limit) {
  std::vector<CodeAddress> stack;
  Address last_cfa = 0;
  for (std::uint32_t i = 0; stack.size() < limit; ++i) {
    lldb::SBFrame frame = thread.GetFrameAtIndex(i);
    if (!frame.IsValid()) break;
    if (frame.IsArtificial()) continue;
    const Address pc = frame.GetPC();
    const Address cfa = frame.GetCFA();
    if (pc == LLDB_INVALID_ADDRESS) break;
    if (!stack.empty() && cfa == last_cfa && cfa != LLDB_INVALID_ADDRESS) continue;
    const bool interrupted = !stack.empty() && returns_from_signal(memory, stack.back().pc);
    stack.push_back({pc, 0, interrupted});
    last_cfa = cfa;
  }
  return stack;
}

}  // namespace heapledger
