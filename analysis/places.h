// SPDX-License-Identifier: Apache-2.0
//
// Names for places that are no block: registers, variables of frames, global and thread-local
// variables, pthread keys, memory the program mapped.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "analysis/owners.h"
#include "inferior/modules.h"

namespace heapledger {

// For one answer: asks the target for each thread's frames once.
class Places {
 public:
  Places(const Scan& scan, Target& target) : scan_(scan), target_(target) {}

  PlaceName name(const Reference& reference);      // of a root's word
  PlaceName name_address(Address address, const Region& region);
  // The debugger evaluates it to the word: "$rbx", "*(void**)0x404068".
  std::string expression(const Reference& reference) const;
  const Region* region(Address address) const;

 private:
  void name_register(std::uint64_t index, std::uint64_t tid, PlaceName& place);
  void name_stack(Address address, PlaceName& place);
  void name_thread_local(Address address, PlaceName& place);
  void name_dtv_entry(std::uint64_t id, const std::string& of_thread, PlaceName& place);
  void name_global(Address address, PlaceName& place);
  const std::vector<FrameInfo>& frames(std::uint64_t tid);
  const ThreadState* thread(std::uint64_t tid);
  const std::vector<Module>& modules();

  const Scan& scan_;
  Target& target_;
  std::map<std::uint64_t, std::vector<FrameInfo>> frames_;
  std::optional<std::vector<ThreadState>> threads_;
  std::optional<std::vector<Module>> modules_;
};

}  // namespace heapledger
