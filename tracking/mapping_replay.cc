// SPDX-License-Identifier: Apache-2.0
#include "tracking/mapping_replay.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>
#include <utility>

namespace heapledger {
namespace {

class Replay {
 public:
  explicit Replay(const std::vector<MappingEvent>& events) : events_(events) {}

  void apply(std::size_t i) {
    const MappingEvent& event = events_[i];
    if (event.action == MappingEvent::Action::detach) {
      detach(event.range.begin);
    } else if (!event.range.empty()) {
      cut(event.range);
      if (event.action == MappingEvent::Action::map) {
        add(event.range, i);
        latest_at_[event.range.begin] = i;
      }
    }
  }

  std::vector<MappedPiece> left() const {
    std::vector<MappedPiece> out;
    out.reserve(pieces_.size());
    for (const auto& [begin, piece] : pieces_) out.push_back({{begin, piece.end}, piece.event});
    return out;
  }

 private:
  struct Piece {
    Address end;
    std::size_t event;
  };
  using Pieces = std::map<Address, Piece>;  // by begin

  void add(AddressRange range, std::size_t event) {
    pieces_.emplace(range.begin, Piece{range.end, event});
    of_event_.emplace(event, range.begin);
  }
  Pieces::iterator remove(Pieces::iterator piece) {
    of_event_.erase({piece->second.event, piece->first});
    return pieces_.erase(piece);
  }

  void cut(AddressRange hole) {
    auto at = pieces_.lower_bound(hole.begin);
    if (at != pieces_.begin() && std::prev(at)->second.end > hole.begin) --at;
    while (at != pieces_.end() && at->first < hole.end) {
      const AddressRange whole{at->first, at->second.end};
      const std::size_t event = at->second.event;
      at = remove(at);
      if (whole.begin < hole.begin) add({whole.begin, hole.begin}, event);
      if (whole.end > hole.end) add({hole.end, whole.end}, event);
    }
  }

  // A segment may have lost its beginning since (mmap over it), and be in several pieces.
  void detach(Address begin) {
    const auto found = latest_at_.find(begin);
    if (found == latest_at_.end()) return;
    auto at = of_event_.lower_bound({found->second, 0});
    while (at != of_event_.end() && at->first == found->second) {
      pieces_.erase(at->second);
      at = of_event_.erase(at);
    }
    latest_at_.erase(found);
  }

  const std::vector<MappingEvent>& events_;
  Pieces pieces_;
  std::set<std::pair<std::size_t, Address>> of_event_;
  std::unordered_map<Address, std::size_t> latest_at_;  // the last event that mapped at an address
};

}  // namespace

std::vector<MappedPiece> replay_mappings(const std::vector<MappingEvent>& events) {
  std::vector<std::size_t> order(events.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return events[a].sequence < events[b].sequence;
  });
  Replay replay(events);
  for (const std::size_t i : order) replay.apply(i);
  return replay.left();
}

}  // namespace heapledger
