// SPDX-License-Identifier: Apache-2.0
#include "tracking/stack_table.h"

#include <algorithm>

namespace heapledger {

std::size_t StackTable::Hash::operator()(const agent::Node& node) const {
  std::uint64_t h = (node.pc ^ std::uint64_t{node.parent} << 20) * 0x9e3779b97f4a7c15;
  return std::size_t(h ^ h >> 32);
}

bool StackTable::Equal::operator()(const agent::Node& a, const agent::Node& b) const {
  return a.pc == b.pc && a.parent == b.parent && a.interrupted == b.interrupted;
}

StackId StackTable::intern(std::span<const CodeAddress> frames) {
  StackId id = 0;
  frames = frames.first(std::min(frames.size(), Ledger::kMaxStack));
  for (auto frame = frames.rbegin(); frame != frames.rend(); ++frame) {
    const Address pc = frame->pc | Address{frame->incarnation} << Ledger::kIncarnationShift;
    const agent::Node node{pc, id, frame->interrupted};
    const auto [known, is_new] = ids_.try_emplace(node, StackId(nodes_.size()));
    if (is_new) nodes_.push_back(node);
    id = known->second;
  }
  return id;
}

}  // namespace heapledger
