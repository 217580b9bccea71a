// SPDX-License-Identifier: Apache-2.0
//
// Blocks so large that malloc maps each for itself: lost, held, and held only by a lost one.
#include "truth.h"

void* volatile held;

NOINLINE static void set_up(void) {
  void** lost = truth_block(1 << 20, "definitely", "large_lost");
  lost[70000] = truth_block(3 << 20, "indirectly", "large_child");
  held = truth_block(5 << 20, "reachable", "large_held");
}
TRUTH_MAIN(set_up)
