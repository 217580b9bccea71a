// SPDX-License-Identifier: Apache-2.0
//
// What a program did to its mappings, as the debugger saw it happen: the events that
// mapping_replay.h makes the present segments of. A call may fail after it was written down, so an
// event can be taken back.
#pragma once

#include <cstddef>
#include <vector>

#include "tracking/ledger.h"
#include "tracking/mapping_replay.h"

namespace heapledger {

class MappingLog {
 public:
  using EventId = std::uint64_t;

  // Ranges are rounded up to whole pages; those that can be no mapping are left out.
  void map(AddressRange range, const Allocation& made_by);
  EventId unmap(AddressRange range);
  EventId detach(Address begin);  // shmdt
  void take_back(EventId event);

  const std::vector<MappingEvent>& events() const { return events_; }
  const std::vector<Allocation>& made_by() const { return made_by_; }

 private:
  EventId add(AddressRange range, MappingEvent::Action action, const Allocation& made_by);
  void shorten();

  std::vector<MappingEvent> events_;
  std::vector<Allocation> made_by_;
  std::uint64_t sequence_ = 0;
  std::size_t shorten_at_ = 1 << 16;  // events
};

}  // namespace heapledger
