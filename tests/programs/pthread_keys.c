// SPDX-License-Identifier: Apache-2.0
//
// Values of pthread keys: the first 32 lie in the thread's control block, later ones in a table that
// is itself allocated.
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "truth.h"

static pthread_key_t first, late;
static sem_t ready, never;

static void fill(const char* first_name, const char* late_name) {
  pthread_setspecific(first, truth_block(64, "reachable", first_name));
  pthread_setspecific(late, truth_block(64, "reachable", late_name));
}

static void* worker(void* unused) {
  (void)unused;
  fill("worker_first", "worker_late");
  truth_scrub();
  sem_post(&ready);
  for (;;) sem_wait(&never);
  return NULL;
}

NOINLINE static void set_up(void) {
  sem_init(&ready, 0, 0);
  sem_init(&never, 0, 0);
  pthread_key_create(&first, NULL);
  for (int i = 0; i < 40; ++i) pthread_key_create(&late, NULL);
  fill("main_first", "main_late");
  pthread_t thread;
  if (pthread_create(&thread, NULL, worker, NULL) != 0) abort();
  sem_wait(&ready);
}
TRUTH_MAIN(set_up)
