// SPDX-License-Identifier: Apache-2.0
#include "tracking/restored_entries.h"

#include <algorithm>
#include <span>

#include "tracking/entry_points.h"

namespace heapledger {
namespace {

constexpr std::size_t kLongest = 32;  // bytes of an entry that a jump may replace

}  // namespace

// Where the file's bytes and the process's differ.
Result<bool> restore_from_file(const Memory& memory, TargetControl& control, const HookRequest& r) {
  std::vector<std::byte> now(std::min(kLongest, r.original.size()));
  if (auto done = memory.read(r.function, now); !done) return tl::unexpected(done.error());
  std::size_t first = now.size(), last = 0;
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i] == std::byte(r.original[i])) continue;
    first = std::min(first, i);
    last = i;
  }
  if (first == now.size()) return false;
  auto bytes = std::as_bytes(std::span(r.original)).subspan(first, last + 1 - first);
  auto written = control.write_code(r.function + first, bytes);
  if (!written) return tl::unexpected(written.error());
  return true;
}

Result<std::size_t> restore_from_files(const Memory& memory, TargetControl& control,
                                       const std::vector<Module>& modules) {
  std::size_t count = 0;
  EntryPointsFound found = find_entry_points(modules);
  resolve_indirect(memory, control, modules, found);
  for (const HookRequest& r : found.requests) {
    const auto changed = restore_from_file(memory, control, r);
    if (!changed) return tl::unexpected(changed.error());
    count += *changed;
  }
  return count;
}

}  // namespace heapledger
