// SPDX-License-Identifier: Apache-2.0
#include "tracking/exit_gate.h"

#include "inferior/target_modules.h"
#include "tracking/agent_image.h"
#include "tracking/call_filters.h"
#include "tracking/entry_points.h"
#include "tracking/island.h"
#include "tracking/restored_entries.h"

namespace heapledger {
namespace {

// The function begins with a jump, behind an endbr64 or not, to the stub of a hook (island.h) that leads to
// such code as is brought in here.
bool leads_to_a_gate(const Memory& memory, Address function) {
  const AgentImage& image = AgentImage::embedded();
  for (const Address jump : {function, function + 4}) {
    const auto distance = memory.read_value<std::int32_t>(jump + 1);
    if (!distance) continue;
    const Address stub = jump + 5 + std::uint64_t(std::int64_t{*distance});
    const auto hook = memory.read_value<Address>(IslandItem{stub}.hook());
    if (!hook) continue;
    const Address base = *hook - image.exit_gate();
    const auto header = memory.read_value<agent::Header>(base + image.header_offset());
    if (header && header->magic == agent::kMagic && header->image_begin == base) return true;
  }
  return false;
}

}  // namespace

Result<std::vector<Module>> ExitGate::modules() {
  const auto mappings = target_.mappings();
  if (!mappings) return tl::unexpected(mappings.error());
  return read_modules(target_, *mappings);
}

// An image without a ledger: nobody takes it for an agent (find_agent), and its hooks are not used.
Result<void> ExitGate::bring_code_in() {
  if (!image_.empty()) return {};
  const AgentImage& image = AgentImage::embedded();
  const auto at = control_.allocate(image.size(), true, {});
  if (!at) return tl::unexpected(at.error());
  image_ = {*at, *at + image.size()};
  stop_ = *at + image.exit_stop();
  return {};
}

Result<void> ExitGate::open() {
  if (stop() != 0) return {};
  if (target_.kind() != ProcessKind::live_local) return fail("the process is not a local one");
  if (!control_.all_stopped()) return fail("other threads are running");
  if (auto can = check_filters(target_); !can) return can;
  const auto there = modules();
  if (!there) return tl::unexpected(there.error());
  auto requests = find_exit_functions(*there);
  if (requests.empty()) return {};  // libc is not there yet
  if (auto removed = remove_left(requests); !removed) return tl::unexpected(removed.error());
  if (auto done = bring_code_in(); !done) return done;
  const AgentImage& image = AgentImage::embedded();
  if (auto done = control_.write_code(image_.begin, image.place(image_.begin, 0, 0)); !done) return done;
  for (HookRequest& request : requests) request.hook = image_.begin + image.exit_gate();
  const Patcher::Outcome outcome = patcher_.install(std::move(requests));
  if (!outcome.refused.empty()) {
    const std::string reason = outcome.refused[0].reason;
    (void)patcher_.remove_all();
    return fail("{}", reason);
  }
  announcements_.agent(image_.begin);
  return {};
}

void ExitGate::forget() {
  patcher_.forget_all();
  announcements_.forget();
  image_ = {};
  stop_ = 0;
}

Result<std::size_t> ExitGate::remove_left() {
  if (stop() != 0 || target_.kind() != ProcessKind::live_local) return 0;
  const auto there = modules();
  if (!there) return tl::unexpected(there.error());
  return remove_left(find_exit_functions(*there));
}

Result<std::size_t> ExitGate::remove_left(const std::vector<HookRequest>& functions) {
  std::size_t count = 0;
  for (const HookRequest& function : functions) {
    if (!leads_to_a_gate(target_.memory(), function.function)) continue;
    const auto restored = restore_from_file(target_.memory(), control_, function);
    if (!restored) return tl::unexpected(restored.error());
    ++count;
  }
  return count;
}

std::vector<AddressRange> ExitGate::memory() const {
  std::vector<AddressRange> ranges = patcher_.islands();
  if (!image_.empty()) ranges.push_back(image_);
  return ranges;
}

}  // namespace heapledger
