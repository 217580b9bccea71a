// SPDX-License-Identifier: Apache-2.0
//
// Allocates five blocks, stops, allocates two more, says so and waits until someone ends it.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "truth.h"

static void* volatile kept[7];
static volatile int first = 5, all = 7;  // loops that no compiler takes apart

NOINLINE static void keep(int i) {
  kept[i] = malloc(3000);
  if (kept[i] == NULL) abort();
}

int main(void) {
  for (int i = 0; i < first; ++i) keep(i);
  heapledger_stop_here();
  for (int i = first; i < all; ++i) keep(i);
  puts("waiting");
  fflush(stdout);
  for (;;) pause();
}
