// SPDX-License-Identifier: Apache-2.0
//
// The allocator's own lists point at chunk headers, the last bytes of the block before: that is no
// reference to it. The block before the top, and the block before a freed one.
#include <stdlib.h>

#include "truth.h"

void* volatile barrier;

NOINLINE static void set_up(void) {
  truth_block(1048, "definitely", "before_unsorted");  // its last 8 bytes lie in the next chunk
  void* freed = truth_block(4000, "freed", "unsorted");
  barrier = truth_block(40, "reachable", "barrier");
  truth_block(1048, "definitely", "before_top");
  free(freed);
}
TRUTH_MAIN(set_up)
