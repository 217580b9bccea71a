// SPDX-License-Identifier: Apache-2.0
//
// What one hook does to the bytes at a function's entry: pure arithmetic on an InstalledHook.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tracking/island.h"
#include "tracking/patcher.h"

namespace heapledger {

// The instructions that the jump replaces, the rest of the last one included.
AddressRange patched_range(const InstalledHook& hook);

// The same without the first byte. A trap at the first byte stops before the jump; one here would
// be read as part of its distance. A pc here is between two displaced instructions.
AddressRange inside(const InstalledHook& hook);

// The jump to the entry stub, and what stood there. What is left behind it of a displaced instruction
// stays as it is: debuggers write 8 bytes at once and more in several steps, and one that is killed
// between two steps would leave half an instruction.
std::vector<std::uint8_t> jump_bytes(const InstalledHook& hook);
std::vector<std::uint8_t> original_bytes(const InstalledHook& hook);

// Where code interrupted at `pc`, a boundary between displaced instructions, goes on in the
// trampoline; nullopt when `pc` is no such boundary.
std::optional<Address> moved_pc(const InstalledHook& hook, Address pc);

// All that the code of the hook may refer to: the function and the rest of its module.
AddressRange reach_of(const HookRequest& request);

// Fills in what follows from hook.request alone: patched, displaced, boundaries (`to` is open).
Result<void> displace(InstalledHook& hook);

// Fills in what depends on where the item is. Returns the trampoline's bytes.
Result<std::vector<std::uint8_t>> relocate_into(IslandItem item, InstalledHook& hook);

// The item's bytes, `trampoline` being what relocate_into returned.
std::vector<std::uint8_t> item_bytes(const InstalledHook& hook,
                                     const std::vector<std::uint8_t>& trampoline);

}  // namespace heapledger
