// SPDX-License-Identifier: Apache-2.0
//
// thread_local variables of the program, in the main thread and in a running one.
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "truth.h"

static __thread void* volatile holder;
static sem_t ready, never;

NOINLINE static void fill(const char* name) { holder = truth_block(64, "reachable", name); }

static void* worker(void* unused) {
  (void)unused;
  fill("worker_tls");
  truth_scrub();
  sem_post(&ready);
  for (;;) sem_wait(&never);
  return NULL;
}

NOINLINE static void set_up(void) {
  pthread_t thread;
  sem_init(&ready, 0, 0);
  sem_init(&never, 0, 0);
  fill("main_tls");
  if (pthread_create(&thread, NULL, worker, NULL) != 0) abort();
  sem_wait(&ready);
}
TRUTH_MAIN(set_up)
