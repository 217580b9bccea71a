// SPDX-License-Identifier: Apache-2.0
//
// A vector register of another thread is the only holder (a two-pointer copy in flight).
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "truth.h"

static void* volatile slot;
static volatile int ready;

__attribute__((naked, noinline)) static void hold(void* volatile* from, volatile int* flag) {
  __asm__(
      "movq (%rdi),%xmm9\n\t"
      "pslldq $8,%xmm9\n\t"
      "movq $0,(%rdi)\n\t"
      "movl $1,(%rsi)\n\t"
      "xor %esi,%esi\n\t"
      "xor %edi,%edi\n\t"
      "1: pause\n\t"
      "jmp 1b\n\t");
}

static void* worker(void* unused) {
  slot = truth_block(64, "reachable", "in_xmm");
  truth_scrub();
  hold(&slot, &ready);
  return unused;
}

NOINLINE static void set_up(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, worker, NULL) != 0) abort();
  while (!ready) sched_yield();
}
TRUTH_MAIN(set_up)
