// SPDX-License-Identifier: Apache-2.0
#include "tracking/mapping_log.h"

#include <algorithm>

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr Address kAddressEnd = Address{1} << 47;

// Empty for what the kernel refuses anyway.
AddressRange whole_pages(AddressRange range) {
  const bool possible = range.begin % kPage == 0 && range.end > range.begin &&
                        range.end <= kAddressEnd;
  return possible ? AddressRange{range.begin, (range.end + kPage - 1) / kPage * kPage}
                  : AddressRange{};
}

}  // namespace

void MappingLog::map(AddressRange range, const Allocation& made_by) {
  if (events_.size() >= shorten_at_) shorten();
  add(whole_pages(range), MappingEvent::Action::map, made_by);
}

MappingLog::EventId MappingLog::unmap(AddressRange range) {
  return add(whole_pages(range), MappingEvent::Action::unmap, {});
}

MappingLog::EventId MappingLog::detach(Address begin) {
  return add({begin, begin}, MappingEvent::Action::detach, {});
}

void MappingLog::take_back(EventId event) {
  const auto found = std::find_if(events_.rbegin(), events_.rend(),
                                  [&](const MappingEvent& e) { return e.sequence == event; });
  if (found == events_.rend()) return;  // thousands of mappings ago
  found->action = MappingEvent::Action::unmap;
  found->range = {};
}

MappingLog::EventId MappingLog::add(AddressRange range, MappingEvent::Action action,
                                    const Allocation& made_by) {
  events_.push_back({++sequence_, range, action});
  made_by_.push_back(made_by);
  return sequence_;
}

// Only what is left counts. A program that attaches segments keeps its log: to detach one, the whole
// of what was attached there must be known.
void MappingLog::shorten() {
  const auto attached = [](const Allocation& a) { return a.kind == agent::Kind::shmat; };
  if (std::none_of(made_by_.begin(), made_by_.end(), attached)) {
    std::vector<MappingEvent> events;
    std::vector<Allocation> made_by;
    for (const MappedPiece& piece : replay_mappings(events_)) {
      events.push_back({events_[piece.event].sequence, piece.range, MappingEvent::Action::map});
      made_by.push_back(made_by_[piece.event]);
    }
    events_ = std::move(events);
    made_by_ = std::move(made_by);
  }
  shorten_at_ = std::max<std::size_t>(1 << 16, 2 * events_.size());
}

}  // namespace heapledger
