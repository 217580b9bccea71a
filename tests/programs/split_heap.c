// SPDX-License-Identifier: Apache-2.0
//
// A heap of several mappings, with a border in the free memory at its end: so the kernel has it in a
// forked child whose heap grows, because it does not join what the parent shares with what is new.
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "truth.h"

enum { kPage = 4096 };

NOINLINE static void set_up(void) {
  void* lost = truth_block(48, "definitely", "named_in_free_memory");
  void* volatile* last = malloc(3000);  // too large for a thread's cache
  last[250] = lost;
  free((void*)last);  // it joins the free memory at the end
  char* border = (char*)sbrk(0) - 4 * kPage;
  if (madvise(border, 4 * kPage, MADV_DONTFORK) != 0) abort();
  *(volatile char*)border = 0;  // touched: gdb's cores have no other memory
}
TRUTH_MAIN(set_up)
