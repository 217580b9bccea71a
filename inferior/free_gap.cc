// SPDX-License-Identifier: Apache-2.0
#include "inferior/free_gap.h"

#include <algorithm>

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kReach = (std::uint64_t{1} << 31) - 16;
constexpr Address kLowest = 0x10000;             // vm.mmap_min_addr
constexpr Address kHighest = 0x7ffffffff000;     // 47-bit user space, without its last page
constexpr std::uint64_t kStackRoom = 64u << 20;  // the usual limit is 8 MiB
Address floor_page(Address a) { return a & ~(kPage - 1); }
Address ceil_page(Address a) { return (a + kPage - 1) & ~(kPage - 1); }

struct Gap {
  AddressRange range;           // usable
  bool behind_program = false;  // where the heap grows
};

// What the heap may grow into: from the program's last file mapping to the end of the heap, or to
// the next file as long as there is no heap. The program is the file below the heap, else the
// lowest one.
AddressRange heap_ground(const Mappings& mappings) {
  const auto heap = std::find_if(mappings.begin(), mappings.end(),
                                 [](const Mapping& m) { return m.name == "[heap]"; });
  const Mapping* program = nullptr;
  for (auto it = mappings.begin(); it != heap; ++it) {
    if (!it->is_file()) continue;
    if (heap == mappings.end() && program != nullptr && it->inode != program->inode) {
      return {program->range.end, it->range.begin};
    }
    program = &*it;
  }
  if (heap != mappings.end()) return {program ? program->range.end : 0, heap->range.end + 1};
  return program ? AddressRange{program->range.end, kHighest} : AddressRange{};
}

// Between neighbours, without what they may grow into.
std::vector<Gap> gaps_between(const Mappings& mappings) {
  const AddressRange ground = heap_ground(mappings);
  std::vector<Gap> gaps;
  Address begin = kLowest;
  const auto add = [&](Address end) {
    if (begin + 2 * kPage < end) {
      gaps.push_back({{begin + kPage, end - kPage}, ground.contains(begin)});
    }
  };
  for (const Mapping& mapping : mappings) {
    const bool stack = mapping.name == "[stack]";
    add(stack ? std::max(mapping.range.begin, kStackRoom) - kStackRoom : mapping.range.begin);
    begin = std::max(begin, mapping.range.end);
  }
  add(kHighest);
  return gaps;
}

std::uint64_t distance(Address place, std::uint64_t size, AddressRange near) {
  return place >= near.end            ? place - near.end
         : near.begin >= place + size ? near.begin - place - size
                                      : 0;
}

}  // namespace

bool within_reach(AddressRange candidate, AddressRange near) {
  const Address low = std::min(candidate.begin, near.begin);
  const Address high = std::max(candidate.end, near.end);
  return high - low <= kReach;
}

std::vector<Address> free_gaps_near(const Mappings& mappings, std::uint64_t size,
                                    AddressRange near) {
  size = ceil_page(size);
  if (near.size() + size > kReach) return {};
  // The lowest and highest start from which everything is in reach.
  const Address lowest = near.end > kReach ? ceil_page(near.end - kReach) : 0;
  const Address highest = floor_page(near.begin + kReach - size);
  std::vector<std::pair<Gap, Address>> found;
  for (const Gap& gap : gaps_between(mappings)) {
    const Address from = std::max(gap.range.begin, lowest);
    const Address to = std::min(gap.range.end >= size ? gap.range.end - size : 0, highest);
    if (from > to) continue;
    // The end of the gap that is closer to `near`; behind the program the far one.
    const bool below = gap.range.end <= near.begin;
    found.push_back({gap, below || gap.behind_program ? floor_page(to) : ceil_page(from)});
  }
  std::stable_sort(found.begin(), found.end(), [&](const auto& a, const auto& b) {
    if (a.first.behind_program != b.first.behind_program) return b.first.behind_program;
    return distance(a.second, size, near) < distance(b.second, size, near);
  });
  std::vector<Address> places;
  for (const auto& [gap, place] : found) places.push_back(place);
  return places;
}

}  // namespace heapledger
