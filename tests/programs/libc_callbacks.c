// SPDX-License-Identifier: Apache-2.0
//
// Allocations from functions that the C library calls: through its sorting, searching and walking, from
// a thread it starts, and at exit. sample() allocates and stops in the same frame, so that the
// debugger's own backtrace there is what the recorded stack must be.
#define _GNU_SOURCE
#include <pthread.h>
#include <search.h>
#include <stdlib.h>

#include "truth.h"

static size_t next_size = 5000;  // every block has a size of its own
static int calls;

NOINLINE static void sample(const char* name) {
  const size_t size = next_size++;
  void* block = malloc(size);
  truth(block, size, "held", name);
  heapledger_stop_here();
  __asm__ volatile("" ::: "memory");
}

// One sample of many calls.
NOINLINE static int compare(const void* a, const void* b) {
  if (++calls == 5) sample("compare");
  return *(const int*)a - *(const int*)b;
}

NOINLINE static void visit(const void* node, VISIT which, int depth) {
  (void)node;
  if (++calls == 3) sample("visit");
  (void)which, (void)depth;
  __asm__ volatile("" ::: "memory");
}

NOINLINE static void* thread(void* argument) {
  sample("thread");
  return argument;
}

NOINLINE static void once(void) {
  sample("once");
  __asm__ volatile("" ::: "memory");
}

NOINLINE static void at_exit(void) {
  sample("at_exit");
  __asm__ volatile("" ::: "memory");
}

int main(void) {
  static int numbers[200];
  for (int i = 0; i < 200; ++i) numbers[i] = i * 7919 % 200;
  qsort(numbers, 200, sizeof *numbers, compare);
  calls = 0;
  int key = 77;
  bsearch(&key, numbers, 200, sizeof *numbers, compare);
  void* root = NULL;
  calls = 6;
  for (int i = 0; i < 20; ++i) tsearch(&numbers[i * 37 % 200], &root, compare);
  calls = 0;
  twalk(root, visit);
  static pthread_once_t control = PTHREAD_ONCE_INIT;
  pthread_once(&control, once);
  pthread_t made;
  if (pthread_create(&made, NULL, thread, NULL) != 0) abort();
  pthread_join(made, NULL);
  atexit(at_exit);
  return 0;
}
