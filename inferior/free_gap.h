// SPDX-License-Identifier: Apache-2.0
//
// Where in an address space a mapping of ours may stand so that a 32-bit displacement reaches it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "inferior/address.h"
#include "inferior/mappings.h"

namespace heapledger {

// Every byte of `candidate` is within +-2 GiB of every byte of `near` (displacements count from the
// end of an instruction: 16 bytes are kept back at each side).
bool within_reach(AddressRange candidate, AddressRange near);

// Start addresses of unmapped places of `size` bytes (rounded up to pages) within reach of `near`,
// best first. Kept free: one page on each side, the lowest 64 KiB (vm.mmap_min_addr), room for the
// stack to grow down, and room for the heap to grow up behind the program: a place behind the
// program comes last and as far up as `near` allows.
std::vector<Address> free_gaps_near(const Mappings& mappings, std::uint64_t size,
                                    AddressRange near);

}  // namespace heapledger
