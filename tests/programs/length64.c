// SPDX-License-Identifier: Apache-2.0
//
// A program that keeps an allocation's length in front of what it hands out (sqlite does) holds
// start + 8 only: Valgrind's length64 heuristic.
#include <stdint.h>

#include "truth.h"

char* volatile held;

NOINLINE static void set_up(void) {
  uint64_t* block = truth_block(8 + 100, "reachable", "with_length");
  block[0] = 100;
  held = (char*)(block + 1);
}
TRUTH_MAIN(set_up)
