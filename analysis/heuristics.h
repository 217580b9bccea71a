// SPDX-License-Identifier: Apache-2.0
//
// Interior pointers that count as start pointers: Valgrind's four heuristics, with its exact
// conditions (heuristic_reachedness in mc_leakcheck.c), `new T[0]`, whose only pointer is one past the
// cookie, and the C library's own blocks. Where a block's size is usable bytes (ScanInput::usable_size), a
// condition on the size holds when it does for some number of bytes that may have been asked for.
#pragma once

#include <span>
#include <unordered_map>

#include "analysis/graph.h"

namespace heapledger {

// Does an address look like a vtable's: in a readable file mapping, the first two words there that are
// not 0 (of 20) point into executable file mappings?
class VtableTest {
 public:
  explicit VtableTest(const Memory& memory, const RootSet& roots) : memory_(memory), roots_(roots) {}
  bool operator()(Address address);

 private:
  bool look(Address address) const;
  const Memory& memory_;
  const RootSet& roots_;
  std::unordered_map<Address, bool> known_;
};

bool contains(std::span<const AddressRange> sorted, Address address);

// Decides about every interior edge and root word: a heuristic is noted in it, or it is made void.
void settle_interior(const ScanInput& input, const ScanOptions& options,
                     const HugeArray<std::uint8_t>& traits, Graph& graph);

}  // namespace heapledger
