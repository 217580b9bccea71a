// SPDX-License-Identifier: Apache-2.0
//
// A block that points only at itself, at its start and inside, does not keep itself alive.
#include "truth.h"

typedef struct Ring {
  struct Ring* volatile next;
  void* volatile inside;
  char payload[32];
} Ring;

NOINLINE static void set_up(void) {
  Ring* ring = truth_block(sizeof(Ring), "definitely", "ring");
  ring->next = ring;
  ring->inside = &ring->payload;
}
TRUTH_MAIN(set_up)
