// SPDX-License-Identifier: Apache-2.0
#include "tracking/ledger_builder.h"

#include <algorithm>
#include <utility>

namespace heapledger {

void LedgerBuilder::mappings(std::vector<MappingEvent> events, std::vector<Allocation> made_by) {
  events_ = std::move(events);
  made_by_ = std::move(made_by);
}

void LedgerBuilder::stacks(std::span<const agent::Node> nodes) {
  ledger_.nodes_.assign(nodes.begin(), nodes.end());
}

void LedgerBuilder::threads(std::span<const std::uint32_t> tids) {
  for (const std::uint32_t tid : tids) ledger_.threads_.push_back({tid, 0});
}

void LedgerBuilder::now(std::uint64_t milliseconds) {
  ledger_.now_ticks_ = milliseconds;
  ledger_.ms_per_tick_ = 1;
}

Ledger LedgerBuilder::build() {
  std::sort(ledger_.recorded_.begin(), ledger_.recorded_.end(),
            [](const Allocation& a, const Allocation& b) { return a.block.start < b.block.start; });
  std::vector<Allocation> segments;
  for (const MappedPiece& piece : replay_mappings(events_)) {
    segments.push_back(made_by_[piece.event]);
    segments.back().block = {piece.range.begin, piece.range.size()};
    segments.back().mapped = true;
  }
  ledger_.add_mapped(segments);
  return std::move(ledger_);
}

}  // namespace heapledger
