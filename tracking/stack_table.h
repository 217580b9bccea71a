// SPDX-License-Identifier: Apache-2.0
//
// Stacks the debugger took itself, each path kept once: the agent's depot (agent/protocol.h Node) on
// this side of the door.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "agent/protocol.h"
#include "tracking/ledger.h"

namespace heapledger {

class StackTable {
 public:
  // Return addresses, innermost first. 0 for no frames; equal stacks have equal ids.
  StackId intern(std::span<const CodeAddress> frames);
  // By id; the first one is "no stack".
  std::span<const agent::Node> nodes() const { return nodes_; }

 private:
  struct Hash {
    std::size_t operator()(const agent::Node& node) const;
  };
  struct Equal {
    bool operator()(const agent::Node& a, const agent::Node& b) const;
  };
  std::vector<agent::Node> nodes_ = std::vector<agent::Node>(1);
  std::unordered_map<agent::Node, StackId, Hash, Equal> ids_;
};

}  // namespace heapledger
