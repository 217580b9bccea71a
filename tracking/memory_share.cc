// SPDX-License-Identifier: Apache-2.0
#include "tracking/memory_share.h"

#include <algorithm>

#include "inferior/process_limits.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kFixed = 4 << 20;        // image, state, rules of a few libraries, islands
constexpr std::uint64_t kShare = 8;              // of the room: one part is ours, in all
constexpr std::uint64_t kLeastMappings = 1024;   // we make about twenty

}  // namespace

Result<void> limit_ledger(Target& target, const Mappings& mappings, std::uint64_t wanted,
                          AgentConfig& config) {
  config.max_bytes = wanted;
  if (target.kind() != ProcessKind::live_local) return {};
  if (const auto left = mapping_room(mappings.size()); left && *left < kLeastMappings) {
    return fail("process {} has {} mappings and may make {} more (vm.max_map_count): they are left to the "
                "program; `leaks start --engine breakpoint` needs none",
                target.pid(), mappings.size(), *left);
  }
#ifdef HEAPLEDGER_MUTANT_ROOM_IGNORED
  return {};
#endif
  const auto room = memory_room(target.pid());
  if (!room) return {};
  if (room->bytes < kShare * kFixed) {
    return fail("process {} may map {} bytes more ({}), and tracking takes {} where that is an eighth at "
                "most; `leaks start --engine breakpoint` takes none",
                target.pid(), room->bytes, room->limit, kFixed);
  }
  const std::uint64_t share = room->bytes / kShare - kFixed / 2;
  if (wanted == 0 || share < wanted) {
    config.max_bytes = share;
    config.max_is_share = true;
  }
  return {};
}

}  // namespace heapledger
