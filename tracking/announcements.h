// SPDX-License-Identifier: Apache-2.0
//
// Tells the debugger of all code that was brought into the process, so that its backtraces are right at
// any instruction of it: the agent's image, and each hook's stub and trampoline. What has been told is
// left alone, whatever comes and goes: a debugger that forgets a module throws away what it knows of
// every frame. So a module that is loaded later has its hooks in an image of their own.
//
// Backtraces only: that a debugger does not take an image is no reason not to track.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "inferior/target.h"
#include "tracking/code_map.h"
#include "tracking/patcher.h"

namespace heapledger {

class Announcements {
 public:
  Announcements(Target& target, TargetControl& control) : target_(target), control_(control) {}

  void agent(Address image);
  // Those of `hooks` that lie in one of the islands.
  void hooks(const std::vector<std::unique_ptr<InstalledHook>>& hooks,
             const std::vector<AddressRange>& islands, const CodeMap& code);
  // The process is gone or was replaced.
  void forget() { told_.clear(); }

 private:
  Target& target_;
  TargetControl& control_;
  std::set<Address> told_;  // agents' images, and stubs: an item serves one function for ever
};

}  // namespace heapledger
