// SPDX-License-Identifier: Apache-2.0
#include "analysis/process_heap.h"

#include <algorithm>

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

}  // namespace

Result<HeapWalk> walk_process_heap(Target& target, std::span<const AddressRange> own_memory) {
  const auto mappings = target.mappings();
  if (!mappings) return tl::unexpected(mappings.error());
  const auto modules = read_modules(target, *mappings);
  if (!modules) return tl::unexpected(modules.error());
  return walk_glibc_heap(target.memory(), *mappings, *modules, thread_pointers(target), own_memory);
}

}  // namespace heapledger
