// SPDX-License-Identifier: Apache-2.0
//
// A thread's frames by LLDB's unwinder, as the engine keeps stacks: the real calls only, and where a
// signal came in.
#pragma once

#include <lldb/API/LLDB.h>

#include <unordered_map>
#include <vector>

#include "inferior/target.h"

namespace heapledger {

class CallStacks {
 public:
  // As Target::call_stack.
  std::vector<CodeAddress> of(lldb::SBThread& thread, const Memory& memory, std::size_t limit);
  void forget_process() { returns_from_signal_.clear(); }

 private:
  bool returns_from_signal(const Memory& memory, Address pc);
  std::unordered_map<Address, bool> returns_from_signal_;  // by pc: reading remote code costs a packet
};

}  // namespace heapledger
