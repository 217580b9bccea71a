// SPDX-License-Identifier: Apache-2.0
//
// reload_under_threads CYCLES: loads and unloads a library that many times while two threads allocate and
// release all the time; holds a block of the last one's and stops.
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "truth.h"

static atomic_int over;
static void* volatile sink;

static void* work(void* unused) {
  (void)unused;
  while (!atomic_load(&over)) {
    void* block = malloc(64);
    sink = block;
    free(block);
  }
  return NULL;
}

typedef void* (*allocate_function)(void);

int main(int count, char** arguments) {
  const int cycles = count > 1 ? atoi(arguments[1]) : 10;
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, work, NULL);
  void* volatile held = NULL;
  for (int i = 0; i < cycles; ++i) {
    void* module = dlopen(MODULE_FOLDER "/reloaded_module.so", RTLD_NOW);
    if (module == NULL) abort();
    allocate_function allocate = (allocate_function)dlsym(module, "reloaded_allocate");
    void* block = allocate();
    if (i + 1 == cycles) {
      held = block;
    } else {
      free(block);
      dlclose(module);
    }
  }
  truth(held, 321, "held", "malloc");
  heapledger_stop_here();
  atomic_store(&over, 1);
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
  return held == NULL;
}
