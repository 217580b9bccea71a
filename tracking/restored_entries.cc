// SPDX-License-Identifier: Apache-2.0
#include "tracking/restored_entries.h"

#include <algorithm>
#include <span>

#include "tracking/entry_points.h"

namespace heapledger {
namespace {

constexpr std::size_t kLongest = 32;  // bytes of an entry that a jump may replace

// Where the file's bytes and the process's differ.
Result<void> restore(const Memory& memory, TargetControl& control, const HookRequest& r) {
  std::vector<std::byte> now(std::min(kLongest, r.original.size()));
  if (auto done = memory.read(r.function, now); !done) return done;
  std::size_t first = now.size(), last = 0;
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i] == std::byte(r.original[i])) continue;
    first = std::min(first, i);
    last = i;
  }
  if (first == now.size()) return {};
  auto bytes = std::as_bytes(std::span(r.original)).subspan(first, last + 1 - first);
  return control.write_code(r.function + first, bytes);
}

}  // namespace

Result<void> restore_from_files(const Memory& memory, TargetControl& control,
                                const std::vector<Module>& modules) {
  for (const HookRequest& r : find_entry_points(modules).requests) {
    if (auto done = restore(memory, control, r); !done) return done;
  }
  return {};
}

}  // namespace heapledger
