// SPDX-License-Identifier: Apache-2.0
//
// Who has a claim on which piece of the address space. Claims are made in order of certainty; a later
// one gets only what is left. One mapping may hold a stack, a block and the program's own memory: the
// kernel merges neighbours.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "analysis/roots.h"
#include "inferior/mappings.h"

namespace heapledger {

struct Claim {
  std::optional<RootKind> root;  // nullopt: no root
  std::string why;
  std::uint64_t tid = 0;
  bool through_blocks = false;
  RegionUse use = RegionUse::program;
};

class RegionMap {
 public:
  explicit RegionMap(const Mappings& mappings);

  void claim(AddressRange range, const Claim& claim);
  // What nobody has claimed of a range, ascending.
  std::vector<AddressRange> unclaimed(AddressRange range) const;
  // All of it, with the mapping it is part of.
  void for_each_unclaimed(const std::function<void(AddressRange, const Mapping&)>& visit) const;

  // Regions and roots of everything claimed, by address.
  void finish(std::vector<Region>& regions, std::vector<Root>& roots);

 private:
  struct Piece {
    AddressRange range;
    Claim claim;
  };
  const Mappings& mappings_;
  std::map<Address, Address> free_;  // begin -> end, within mappings
  std::vector<Piece> pieces_;
};

}  // namespace heapledger
