// SPDX-License-Identifier: Apache-2.0
#include "analysis/region_map.h"

#include <algorithm>

#include "inferior/printable.h"

namespace heapledger {

RegionMap::RegionMap(const Mappings& mappings) : mappings_(mappings) {
  for (const Mapping& m : mappings) {
    if (!m.range.empty()) free_[m.range.begin] = m.range.end;
  }
}

void RegionMap::claim(AddressRange range, const Claim& claim) {
  for (const AddressRange& part : unclaimed(range)) {
    const auto it = std::prev(free_.upper_bound(part.begin));
    const AddressRange whole{it->first, it->second};
    free_.erase(it);
    if (whole.begin < part.begin) free_[whole.begin] = part.begin;
    if (part.end < whole.end) free_[part.end] = whole.end;
    pieces_.push_back({part, claim});
  }
}

std::vector<AddressRange> RegionMap::unclaimed(AddressRange range) const {
  std::vector<AddressRange> parts;
  if (range.empty()) return parts;
  auto it = free_.upper_bound(range.begin);
  if (it != free_.begin()) --it;
  for (; it != free_.end() && it->first < range.end; ++it) {
    const AddressRange part{std::max(it->first, range.begin), std::min(it->second, range.end)};
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

void RegionMap::for_each_unclaimed(
    const std::function<void(AddressRange, const Mapping&)>& visit) const {
  for (const auto& [begin, end] : free_) {
    if (const Mapping* mapping = find_mapping(mappings_, begin)) visit({begin, end}, *mapping);
  }
}

void RegionMap::finish(std::vector<Region>& regions, std::vector<Root>& roots) {
  std::sort(pieces_.begin(), pieces_.end(),
            [](const Piece& a, const Piece& b) { return a.range.begin < b.range.begin; });
  for (const Piece& piece : pieces_) {
    const Mapping* mapping = find_mapping(mappings_, piece.range.begin);
    const std::string name = mapping == nullptr ? "" : one_line(mapping->name);
    regions.push_back({piece.range, name, piece.claim.root, piece.claim.tid, piece.claim.use,
                       piece.claim.why});
    if (!piece.claim.root) continue;
    Root root;
    root.kind = *piece.claim.root;
    root.range = piece.range;
    root.tid = piece.claim.tid;
    root.name = root.kind == RootKind::mapping && !name.empty() ? name : piece.claim.why;
    root.shared = mapping != nullptr && mapping->shared;
    root.through_blocks = piece.claim.through_blocks;
    roots.push_back(std::move(root));
  }
}

}  // namespace heapledger
