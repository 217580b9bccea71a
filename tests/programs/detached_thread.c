// SPDX-License-Identifier: Apache-2.0
//
// The stack and thread-local storage of a detached thread that has ended.
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "truth.h"

static __thread void* volatile in_tls;
static volatile int tid;
static sem_t started;

static void* worker(void* unused) {
  void* volatile locals[2000];
  void* block = truth_block(64, "definitely", "on_detached_stack");
  for (int i = 0; i < 2000; ++i) locals[i] = block;
  in_tls = truth_block(64, "definitely", "in_detached_tls");
  tid = truth_tid();
  sem_post(&started);
  return unused;
}

NOINLINE static void set_up(void) {
  pthread_t thread;
  pthread_attr_t attributes;
  sem_init(&started, 0, 0);
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  if (pthread_create(&thread, &attributes, worker, NULL) != 0) abort();
  sem_wait(&started);
  truth_wait_thread_gone(tid);
}
TRUTH_MAIN(set_up)
