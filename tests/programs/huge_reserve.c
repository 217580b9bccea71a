// SPDX-License-Identifier: Apache-2.0
//
// Four terabytes that were never touched but for one page in the middle, which holds a block, and a block
// mapped on its own of which two pages were. Sanitizers' shadows and databases' caches look like this.
#include <stdlib.h>
#include <sys/mman.h>

#include "truth.h"

enum { kWord = sizeof(void*) };
static const size_t kReserve = (size_t)4 << 40, kLarge = (size_t)1 << 30;

static void** volatile large;

NOINLINE static void set_up(void) {
  void** reserve = mmap(NULL, kReserve, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1, 0);
  if (reserve == MAP_FAILED) abort();
  reserve[kReserve / 2 / kWord + 5] = truth_block(64, "reachable", "in the middle of a reserve");
  large = malloc(kLarge);
  if (large == NULL) abort();
  truth(large, kLarge, "reachable", "large");
  large[kLarge / 3 / kWord] = truth_block(64, "reachable", "in a large block");
  void* volatile lost = truth_block(64, "definitely", "lost");
  lost = NULL;
}
TRUTH_MAIN(set_up)
