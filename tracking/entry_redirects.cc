// SPDX-License-Identifier: Apache-2.0
#include "tracking/entry_redirects.h"

#include <algorithm>
#include <cstring>

#include "tracking/patch.h"

namespace heapledger {
namespace {

std::vector<std::uint8_t> jump_back(Address trampoline, Address function) {
  std::vector<std::uint8_t> code = {0x49, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0,   // movabs $trampoline,%r11
                                    0xff, 0x25, 0, 0, 0, 0,               // jmp *0(%rip)
                                    0, 0, 0, 0, 0, 0, 0, 0};              // function
  std::memcpy(&code[2], &trampoline, sizeof trampoline);
  std::memcpy(&code[16], &function, sizeof function);
  return code;
}

}  // namespace

Result<void> EntryRedirects::install(const HookRequest& request) {
  const auto item = islands_.take(reach_of(request));
  if (!item) return tl::unexpected(item.error());
  auto hook = std::make_unique<InstalledHook>();
  hook->request = request;
  hook->index = std::uint32_t(installed_.size());
  hook->patched = request.function;
  hook->stub = item->stub();
  hook->site = item->site();
  hook->trampoline = item->trampoline();
  const auto code = jump_back(item->trampoline(), request.function);
  hook->trampoline_size = std::uint32_t(code.size());
  const auto bytes = item_bytes(*hook, code);
  auto done = control_.write_code(hook->stub, std::as_bytes(std::span(bytes)));
  if (done) done = control_.watch(request.function, *this);
  if (!done) {
    islands_.give_back(*item);
    return done;
  }
  installed_.push_back(std::move(hook));
  return {};
}

void EntryRedirects::reached(const WatchedStop& stop) {
  const auto found = std::find_if(installed_.begin(), installed_.end(), [&](const auto& hook) {
    return hook->request.function == stop.pc;
  });
  if (found == installed_.end()) return;
  const std::pair<std::uint64_t, Address> way{stop.tid, stop.pc};
  // r11 alone may be left over from an earlier call.
  if (stop.r11 == (*found)->trampoline && pending_.erase(way) != 0) return;
  if (control_.set_pc(stop.tid, (*found)->stub)) pending_.insert(way);
}

void EntryRedirects::forget(AddressRange module_range) {
  std::erase_if(installed_, [&](const auto& hook) {
    if (!module_range.contains(hook->request.function)) return false;
    control_.unwatch(hook->request.function);
    return true;
  });
}

void EntryRedirects::forget_all() {
  stop();
  islands_.forget_all();
  pending_.clear();
}

}  // namespace heapledger
