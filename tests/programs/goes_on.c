// SPDX-License-Identifier: Apache-2.0
//
// Stops twice. In between blocks are released, others given out at the same addresses (a larger one
// among them), and new ones allocated: for a debugger that does not track any more.
#include <stdlib.h>

#include "truth.h"

enum { kSame = 5, kNew = 7 };

void* same[kSame];
void* grown;
void* added[kNew];

NOINLINE static void before(void) {
  for (int i = 0; i < kSame; ++i) same[i] = malloc(100);
  grown = malloc(5000);  // at the end of the heap
}

// Twice the same address each, by the thread's cache and by the end of the heap.
NOINLINE static int after(void) {
  void* old = grown;
  free(grown);
  grown = malloc(50000);
  int moved = grown != old;
  for (int i = kSame - 1; i >= 0; --i) free(same[i]);
  for (int i = 0; i < kSame; ++i) same[i] = malloc(100);
  for (int i = 0; i < kNew; ++i) added[i] = malloc(1000);
  return moved;
}

int main(void) {
  before();
  heapledger_stop_here();
  int moved = after();
  heapledger_stop_here();
  return moved;
}
