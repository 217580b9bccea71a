// SPDX-License-Identifier: Apache-2.0
//
// Blocks of another arena, made by a thread that is gone: lost, chained, held by a global of ours.
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "truth.h"

void* volatile held;

static void* worker(void* unused) {
  truth_block(64, "definitely", "lone");
  void** head = truth_block(64, "definitely", "head");
  head[3] = truth_block(640, "indirectly", "child");
  held = truth_block(64, "reachable", "held");
  truth_block(2 << 20, "definitely", "large");
  return unused;
}

NOINLINE static void set_up(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, worker, NULL) != 0) abort();
  pthread_join(thread, NULL);
}
TRUTH_MAIN(set_up)
