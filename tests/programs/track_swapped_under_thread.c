// SPDX-License-Identifier: Apache-2.0
//
// A thread allocates in a library, waits while another one puts a twin of the library at the same
// address, and allocates there: every frame of its stack is what it was, but the library is another.
// The truth file's NAME is the function. Exit status 3: the loader did not reuse the address.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "truth.h"

typedef void* allocate_function(size_t);

static sem_t go, done;
static allocate_function* function;
static size_t wanted;
static void* made;

static void* worker(void* unused) {
  for (int i = 0; i < 4; ++i) {
    sem_wait(&go);
    made = function(wanted);
    sem_post(&done);
  }
  return unused;
}

static unsigned long allocate_in(const char* path, const char* name, size_t size, int keep_open) {
  void* library = dlopen(path, RTLD_NOW);
  if (library == NULL) abort();
  struct link_map* map = NULL;
  dlinfo(library, RTLD_DI_LINKMAP, &map);
  unsigned long base = map->l_addr;
  function = (allocate_function*)dlsym(library, name);
  wanted = size;
  sem_post(&go);
  sem_wait(&done);
  truth(made, size, "held", name);
  if (!keep_open) dlclose(library);
  return base;
}

int main(void) {
  const char* first = MODULE_FOLDER "/swap_twin_first.so";
  const char* second = MODULE_FOLDER "/swap_twin_second.so";
  sem_init(&go, 0, 0);
  sem_init(&done, 0, 0);
  pthread_t thread;
  if (pthread_create(&thread, NULL, worker, NULL) != 0) abort();
  unsigned long base = allocate_in(first, "first_allocates", 1001, 0);
  if (allocate_in(second, "second_allocates", 1002, 0) != base) return 3;
  if (allocate_in(first, "first_allocates", 1003, 0) != base) return 3;
  if (allocate_in(second, "second_allocates", 1004, 1) != base) return 3;
  pthread_join(thread, NULL);
  heapledger_stop_here();
  return 0;
}
