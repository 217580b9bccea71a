// SPDX-License-Identifier: Apache-2.0
#include "tracking/found_hooks.h"

#include <algorithm>
#include <optional>
#include <span>

#include "tracking/island.h"
#include "tracking/patch.h"

namespace heapledger {
namespace {

// A breakpoint's trap may stand at the first byte of the jump.
std::optional<IslandItem> item_behind_jump(const Memory& memory, const InstalledHook& hook) {
  constexpr std::uint8_t kJump = 0xe9, kTrap = 0xcc;
  const auto first = memory.read_value<std::uint8_t>(hook.patched);
  const auto distance = memory.read_value<std::int32_t>(hook.patched + 1);
  if (!first || !distance || (*first != kJump && *first != kTrap)) return std::nullopt;
  const IslandItem item{hook.patched + kJumpSize + std::uint64_t(std::int64_t{*distance})};
  if (item.address % IslandItem::kAlignment != 0) return std::nullopt;
  return item;
}

bool holds(const Memory& memory, Address address, const std::vector<std::uint8_t>& expected) {
  std::vector<std::uint8_t> bytes(expected.size());
  return memory.read(address, std::as_writable_bytes(std::span(bytes))) && bytes == expected;
}

// Null: the function is not hooked.
std::unique_ptr<InstalledHook> find_hook(const Memory& memory, const HookRequest& function) {
  auto hook = std::make_unique<InstalledHook>(InstalledHook{.request = function});
  if (!displace(*hook)) return nullptr;
  const auto item = item_behind_jump(memory, *hook);
  if (!item) return nullptr;
  const auto trampoline = relocate_into(*item, *hook);
  if (!trampoline) return nullptr;
  const auto entry = memory.read_value<Address>(item->hook());
  const auto site = memory.read_value<agent::Site>(item->site());
  if (!entry || !site) return nullptr;
  hook->request.hook = *entry;
  hook->index = site->index;
  if (!holds(memory, item->address, item_bytes(*hook, *trampoline))) return nullptr;
  return hook;
}

}  // namespace

FoundHooks find_hooks(const Memory& memory, const Mappings& mappings,
                      const std::vector<HookRequest>& functions) {
  FoundHooks found;
  for (const HookRequest& function : functions) {
    auto hook = find_hook(memory, function);
    const Mapping* mapping = hook ? find_mapping(mappings, hook->stub) : nullptr;
    if (mapping == nullptr) continue;
    const auto same_function = [&](const auto& other) {  // an alias
      return other->request.function == function.function;
    };
    if (std::any_of(found.hooks.begin(), found.hooks.end(), same_function)) continue;
    const auto same_range = [&](AddressRange range) { return range.begin == mapping->range.begin; };
    if (std::none_of(found.islands.begin(), found.islands.end(), same_range)) {
      found.islands.push_back(mapping->range);
    }
    found.hooks.push_back(std::move(hook));
  }
  return found;
}

}  // namespace heapledger
