// SPDX-License-Identifier: Apache-2.0
#include "analysis/process_heap.h"

#include <fmt/format.h>

#include <algorithm>

#include "inferior/present_pages.h"
#include "inferior/target_modules.h"

namespace heapledger {
namespace {

// None when the debugger does not know the thread pointer of every thread: then all are looked for in
// memory.
std::vector<ThreadTcb> thread_pointers(Target& target) {
  std::vector<ThreadTcb> threads;
  for (const ThreadState& thread : target.threads()) {
    if (thread.fs_base == 0) return {};
    threads.push_back({thread.tid, thread.fs_base});
  }
  std::sort(threads.begin(), threads.end(),
            [](const ThreadTcb& a, const ThreadTcb& b) { return a.fs_base < b.fs_base; });
  return threads;
}

// Blocks of jemalloc and the like are not in glibc's structures.
void name_other_allocators(HeapWalk& walk, const std::vector<Module>& modules) {
  for (const Module& module : modules) {
    if (module.elf == nullptr || module.elf->functions("malloc").empty()) continue;
    const bool loader = module.elf->soname().starts_with("ld-");
    if (loader || is_libc(module) || module.elf->symbol("__libc_malloc")) continue;
    walk.messages.push_back(
        fmt::format("malloc of {} is another allocator: its blocks are not seen", module.name));
  }
}

}  // namespace

Result<HeapWalk> walk_process_heap(Target& target, std::span<const AddressRange> own_memory) {
  const auto mappings = target.mappings();
  if (!mappings) return tl::unexpected(mappings.error());
  const auto modules = read_modules(target, *mappings);
  if (!modules) return tl::unexpected(modules.error());
  auto walk = walk_heap(target.memory(), *mappings, *modules, thread_pointers(target), own_memory,
                        touched_parts(target));
  if (!walk) return walk;
  walk->free = std::vector<Block>();  // nobody asks for them; there may be as many as blocks
  name_other_allocators(*walk, *modules);
  return walk;
}

}  // namespace heapledger
