// SPDX-License-Identifier: Apache-2.0
//
// A thread that has ended and was not joined: its return value is still to be collected, its stack
// and its thread-local storage are dead.
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "truth.h"

static __thread void* volatile in_tls;
static volatile int tid;
static sem_t started;

NOINLINE static void leave_traces(void) {
  void* volatile locals[2000];
  void* block = truth_block(64, "definitely", "on_dead_stack");
  for (int i = 0; i < 2000; ++i) locals[i] = block;
  in_tls = truth_block(64, "definitely", "in_dead_tls");
}

static void* worker(void* unused) {
  (void)unused;
  leave_traces();
  tid = truth_tid();
  sem_post(&started);
  return truth_block(64, "reachable", "result");
}

NOINLINE static void set_up(void) {
  static pthread_t thread;
  sem_init(&started, 0, 0);
  if (pthread_create(&thread, NULL, worker, NULL) != 0) abort();
  sem_wait(&started);
  truth_wait_thread_gone(tid);
}
TRUTH_MAIN(set_up)
