// SPDX-License-Identifier: Apache-2.0
//
// A thread `child` that calls `fibonacci`, which allocates 8192 bytes per step and never frees them.
//
//   fibonacci         stops at checkpoint() after five steps with five blocks outstanding
//   fibonacci free    frees each one: nothing from here is outstanding
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kSteps = 5, kBytes = 8192 };

static int with_free;

// Where a debugger stops to look.
__attribute__((noinline)) void checkpoint(void) { __asm__ volatile("" ::: "memory"); }

__attribute__((noinline)) static long fibonacci(long* previous, long* current) {
  long* scratch = malloc(kBytes);
  if (scratch == NULL) abort();
  *(volatile long*)scratch = *previous + *current;
  *previous = *current;
  *current = *scratch;
  if (with_free) free(scratch);
  return *current;
}

__attribute__((noinline)) static void* child(void* unused) {
  (void)unused;
  long previous = 0, current = 1;
  for (int step = 0; step < kSteps; ++step) {
    printf("%ld\n", fibonacci(&previous, &current));
  }
  checkpoint();
  return NULL;
}

int main(int argc, char** argv) {
  with_free = argc > 1 && strcmp(argv[1], "free") == 0;
  pthread_t thread;
  if (pthread_create(&thread, NULL, child, NULL) != 0) return 1;
  return pthread_join(thread, NULL);
}
