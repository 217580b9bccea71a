// SPDX-License-Identifier: Apache-2.0
//
// Pointers in freed memory of every kind keep nothing alive, and freed memory is no block: tcache,
// fastbin, small and large bins, unsorted, merged with the top, unmapped.
//
// Everything is allocated before anything is freed, so that no address is used twice.
#include <stdlib.h>

#include "truth.h"

enum { kWords = 4, kFiller = 7 };  // free() itself writes into the first four words

void* volatile guards[16];
static int guard_count;

// A block that points at one which is lost with it; a guard keeps freed neighbours from merging.
NOINLINE static void** holder(size_t size, const char* freed, const char* lost) {
  void** block = truth_block(size, "freed", freed);
  block[size / sizeof(void*) - 1] = block[kWords] = truth_block(88, "definitely", lost);
  guards[guard_count++] = truth_block(24, "reachable", "guard");
  return block;
}

NOINLINE static void set_up(void) {
  void** filler[kFiller];
  for (int i = 0; i < kFiller; ++i) filler[i] = truth_block(104, "freed", "tcache_filler");
  void** in_tcache = holder(72, "tcache", "by_tcache");
  void** in_fastbin = holder(104, "fastbin", "by_fastbin");
  void** in_small = holder(1000, "tcache_large", "by_tcache_large");
  void** in_bin = holder(3000, "large_bin", "by_large_bin");
  void** in_unsorted = holder(4000, "unsorted", "by_unsorted");
  void** mapped = holder(1 << 20, "unmapped", "by_unmapped");
  void* by_top = truth_block(88, "definitely", "by_top");

  for (int i = 0; i < kFiller; ++i) free(filler[i]);
  free(in_tcache);
  free(in_fastbin);
  free(in_small);
  free(in_bin);
  // A request that nothing freed can serve sorts the unsorted chunks.
  guards[guard_count++] = truth_block(30000, "reachable", "sorter");
  void** at_top = truth_block(5000, "freed", "merged_with_top");
  at_top[kWords] = at_top[600] = by_top;
  free(in_unsorted);
  free(mapped);
  free(at_top);
  for (int i = 0; i < kFiller; ++i) filler[i] = NULL;
}
TRUTH_MAIN(set_up)
