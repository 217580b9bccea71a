// SPDX-License-Identifier: Apache-2.0
#include "tracking/patch.h"

#include <algorithm>
#include <span>

namespace heapledger {
namespace {

constexpr std::uint8_t kJump = 0xe9;

}  // namespace

AddressRange patched_range(const InstalledHook& hook) {
  return {hook.patched, hook.patched + hook.displaced.size()};
}

AddressRange inside(const InstalledHook& hook) {
  return {hook.patched + 1, hook.patched + hook.displaced.size()};
}

std::vector<std::uint8_t> jump_bytes(const InstalledHook& hook) {
  const auto distance = static_cast<std::int32_t>(hook.stub - (hook.patched + kJumpSize));
  std::vector<std::uint8_t> bytes(kJumpSize, kJump);
  const auto* distance_bytes = reinterpret_cast<const std::uint8_t*>(&distance);
  std::copy(distance_bytes, distance_bytes + sizeof distance, bytes.begin() + 1);
  return bytes;
}

std::vector<std::uint8_t> original_bytes(const InstalledHook& hook) {
  return {hook.displaced.begin(), hook.displaced.begin() + kJumpSize};
}

std::optional<Address> moved_pc(const InstalledHook& hook, Address pc) {
  for (const auto& [from, to] : hook.boundaries) {
    if (hook.request.function + from == pc) return hook.trampoline + to;
  }
  return std::nullopt;
}

AddressRange reach_of(const HookRequest& request) {
  const AddressRange function{request.function, request.function + request.original.size()};
  if (request.module_range.empty()) return function;
  return {std::min(request.module_range.begin, function.begin),
          std::max(request.module_range.end, function.end)};
}

Result<void> displace(InstalledHook& hook) {
  const HookRequest& request = hook.request;
  // Relocated onto itself: nothing is out of reach there, so a failure is the function's own.
  auto relocation = relocate_entry(request.original, request.function, request.function);
  if (!relocation) return tl::unexpected(relocation.error());
  const auto displaced =
      std::span(request.original).subspan(relocation->skipped, relocation->displaced);
  hook.patched = request.function + relocation->skipped;
  hook.displaced.assign(displaced.begin(), displaced.end());
  hook.boundaries = std::move(relocation->boundaries);
  for (const SideEntry& entry : request.side_entries) {
    if (!inside(hook).contains(request.function + entry.offset)) continue;
    return fail("{} +{}, inside the bytes the jump would replace", entry.what, entry.offset);
  }
  return {};
}

Result<std::vector<std::uint8_t>> relocate_into(IslandItem item, InstalledHook& hook) {
  auto relocation = relocate_entry(hook.request.original, hook.request.function, item.trampoline());
  if (!relocation) return tl::unexpected(relocation.error());
  if (relocation->code.size() > IslandItem::kMaxTrampoline) {
    return fail("its first instructions need {} bytes elsewhere", relocation->code.size());
  }
  hook.stub = item.stub();
  hook.site = item.site();
  hook.trampoline = item.trampoline();
  hook.trampoline_size = static_cast<std::uint32_t>(relocation->code.size());
  hook.boundaries = std::move(relocation->boundaries);
  return std::move(relocation->code);
}

std::vector<std::uint8_t> item_bytes(const InstalledHook& hook,
                                     const std::vector<std::uint8_t>& trampoline) {
  const agent::Site site{.original = hook.trampoline,
                         .function = hook.request.function,
                         .kind = std::uint32_t(hook.request.kind),
                         .index = hook.index,
                         .reserved = 0};
  const auto item = encode_item({hook.request.shape, hook.request.hook, site, trampoline});
  return {item.begin(), item.end()};
}

}  // namespace heapledger
