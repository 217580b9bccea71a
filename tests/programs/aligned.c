// SPDX-License-Identifier: Apache-2.0
//
// Aligned blocks, small and large, lost and held.
#define _GNU_SOURCE
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "truth.h"

static void* volatile held[4];

NOINLINE static void* aligned(size_t alignment, size_t size, const char* what, const char* name) {
  void* block = memalign(alignment, size);
  if (block == NULL) abort();
  memset(block, 0, size);
  truth(block, size, what, name);
  return block;
}

NOINLINE static void set_up(void) {
  // The held ones first: a page-aligned block right behind a library has the address that the loader
  // keeps as that library's end.
  held[0] = aligned(64, 200, "reachable", "held_64");
  held[1] = aligned(4096, 100, "reachable", "held_4096");
  held[2] = aligned(4096, 1 << 20, "reachable", "held_4096_large");
  held[3] = aligned(1 << 16, 300000, "reachable", "held_64k_large");
  aligned(64, 200, "definitely", "lost_64");
  aligned(4096, 100, "definitely", "lost_4096");
  aligned(4096, 1 << 20, "definitely", "lost_4096_large");
  aligned(1 << 16, 300000, "definitely", "lost_64k_large");
}
TRUTH_MAIN(set_up)
