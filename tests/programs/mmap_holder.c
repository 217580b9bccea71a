// SPDX-License-Identifier: Apache-2.0
//
// Pointers in mappings the program made itself: private, shared, in the middle of a large one; and
// one in a mapping that was unmapped again.
#include <stdlib.h>
#include <sys/mman.h>

#include "truth.h"

void* volatile keep_mapping;

NOINLINE static void** map(size_t size, int flags) {
  void* mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) abort();
  return mapping;
}

NOINLINE static void set_up(void) {
  void** held = map(4096, MAP_PRIVATE);
  keep_mapping = held;
  held[10] = truth_block(64, "reachable", "in_held_mapping");
  // A mapping is a root of its own: nobody needs to point at it.
  map(4096, MAP_PRIVATE)[511] = truth_block(64, "reachable", "in_mapping");
  map(4096, MAP_SHARED)[3] = truth_block(64, "reachable", "in_shared_mapping");
  map(64 << 20, MAP_PRIVATE)[4 << 20] = truth_block(64, "reachable", "in_large_mapping");
  void** gone = map(1 << 20, MAP_PRIVATE);
  gone[7] = truth_block(64, "definitely", "in_unmapped");
  munmap(gone, 1 << 20);
}
TRUTH_MAIN(set_up)
