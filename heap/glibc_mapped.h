// SPDX-License-Identifier: Apache-2.0
//
// Blocks so large that glibc mapped each on its own. No list names them: they are recognised by
// their headers at page starts of anonymous memory nobody else claims, and counted against mp_.
#pragma once

#include <string>
#include <vector>

#include "heap/glibc_arena.h"
#include "inferior/block.h"
#include "inferior/mappings.h"
#include "inferior/memory.h"
#include "inferior/present_pages.h"

namespace heapledger {

// `claimed` need not be sorted. `touched` may be empty. Blocks are sorted by address.
std::vector<Block> find_mapped_chunks(const Memory& memory, const Mappings& mappings,
                                      const Glibc& glibc, std::vector<AddressRange> claimed,
                                      const TouchedParts& touched, std::vector<std::string>& messages);

}  // namespace heapledger
