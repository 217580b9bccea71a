// SPDX-License-Identifier: Apache-2.0
//
// A thread_local variable of a library that came by dlopen: its storage is itself allocated, and
// reached through the thread's dtv.
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "truth.h"

typedef void keep_function(void*);
static keep_function* keep;
static sem_t ready, never;

NOINLINE static void fill(const char* name) { keep(truth_block(64, "reachable", name)); }

static void* worker(void* unused) {
  (void)unused;
  fill("worker_tls");
  truth_scrub();
  sem_post(&ready);
  for (;;) sem_wait(&never);
  return NULL;
}

NOINLINE static void set_up(void) {
  void* library = dlopen(MODULE_FOLDER "/tls_module.so", RTLD_NOW);
  if (library == NULL) abort();
  keep = (keep_function*)dlsym(library, "tls_module_keep");
  sem_init(&ready, 0, 0);
  sem_init(&never, 0, 0);
  fill("main_tls");
  pthread_t thread;
  if (pthread_create(&thread, NULL, worker, NULL) != 0) abort();
  sem_wait(&ready);
}
TRUTH_MAIN(set_up)
