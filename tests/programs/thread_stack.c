// SPDX-License-Identifier: Apache-2.0
//
// A local variable of a blocked thread.
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "truth.h"

static sem_t ready, never;

NOINLINE static void wait_for_ever(void* volatile* local) {
  (void)local;
  truth_scrub();
  sem_post(&ready);
  for (;;) sem_wait(&never);
}

static void* worker(void* unused) {
  void* volatile local[4] = {NULL};
  local[2] = truth_block(64, "reachable", "local");
  wait_for_ever(local);
  return unused;
}

NOINLINE static void set_up(void) {
  pthread_t thread;
  sem_init(&ready, 0, 0);
  sem_init(&never, 0, 0);
  if (pthread_create(&thread, NULL, worker, NULL) != 0) abort();
  sem_wait(&ready);
}
TRUTH_MAIN(set_up)
