// SPDX-License-Identifier: Apache-2.0
//
// Holders in every part of a module's data: .data, .bss, a static array's end, a read-only-after-
// relocation place is not writable and left out.
#include "truth.h"

void* volatile in_data = (void*)&in_data;  // not zero: .data
void* volatile in_bss;
static void* volatile in_array[1000];

NOINLINE static void set_up(void) {
  in_data = truth_block(64, "reachable", "in_data");
  in_bss = truth_block(64, "reachable", "in_bss");
  in_array[999] = truth_block(64, "reachable", "in_array");
  in_array[0] = truth_block(64, "definitely", "overwritten");
  in_array[0] = NULL;
}
TRUTH_MAIN(set_up)
