// SPDX-License-Identifier: Apache-2.0
//
// Blocks of no bytes are blocks.
#include "truth.h"

void* volatile held;

NOINLINE static void set_up(void) {
  truth_block(0, "definitely", "empty_lost");
  held = truth_block(0, "reachable", "empty_held");
}
TRUTH_MAIN(set_up)
