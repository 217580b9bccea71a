// SPDX-License-Identifier: Apache-2.0
//
// A pointer at an odd address is no pointer: scans look at aligned words. Nor is an inverted one.
#include <stdint.h>
#include <string.h>

#include "truth.h"

static volatile char packed[32] __attribute__((aligned(8)));
volatile uintptr_t inverted;

NOINLINE static void set_up(void) {
  void* block = truth_block(64, "definitely", "packed");
  memcpy((char*)packed + 3, &block, sizeof(block));
  inverted = ~(uintptr_t)truth_block(64, "definitely", "inverted");
}
TRUTH_MAIN(set_up)
