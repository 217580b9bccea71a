// SPDX-License-Identifier: Apache-2.0
//
// The stack of a joined thread is kept mapped by glibc for the next one: full of stale pointers.
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "truth.h"

static void* worker(void* unused) {
  void* volatile locals[2000];
  void* block = truth_block(64, "definitely", "on_joined_stack");
  for (int i = 0; i < 2000; ++i) locals[i] = block;
  return unused;
}

NOINLINE static void set_up(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, worker, NULL) != 0) abort();
  pthread_join(thread, NULL);
}
TRUTH_MAIN(set_up)
