// SPDX-License-Identifier: Apache-2.0
//
// Blocks reached only through a pointer into their middle are possibly lost, and so is what only
// they point at. A start pointer beside the interior one makes a block reachable.
#include "truth.h"

typedef struct Box {
  char payload[48];
  void* volatile child;
  char more[40];
} Box;
char* volatile into_middle;
char* volatile into_other;
void* volatile start_of_other;
char* volatile last_byte;
char* volatile past_end;

NOINLINE static void set_up(void) {
  Box* box = truth_block(sizeof(Box), "possibly", "box");
  box->child = truth_block(72, "possibly", "child");
  into_middle = box->payload + 40;

  Box* other = truth_block(sizeof(Box), "reachable", "other");
  into_other = other->payload + 40;
  start_of_other = other;

  last_byte = (char*)truth_block(200, "possibly", "last_byte") + 199;
  past_end = (char*)truth_block(200, "definitely", "past_end") + 200;
}
TRUTH_MAIN(set_up)
