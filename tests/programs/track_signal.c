// SPDX-License-Identifier: Apache-2.0
//
// A signal handler that allocates, raised from plain code and from a deep frame, on the thread's stack
// and on an alternate one; handlers that leave by siglongjmp.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>

#include "truth.h"

static sigjmp_buf back;

static void allocates(int number) {
  size_t size = 1000 + (size_t)number;
  void* block = malloc(size);
  truth(block, size, "held", "malloc");
}

static void allocates_and_jumps(int number) {
  allocates(number);
  siglongjmp(back, 1);
}

NOINLINE static void deep(int depth, int number) {
  volatile char frame[200];
  frame[0] = (char)depth;
  if (depth == 0) {
    raise(number);
  } else {
    deep(depth - 1, number);
  }
  frame[1] = 0;
}

static void on(int number, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  if (sigaction(number, &action, NULL) != 0) abort();
}

int main(void) {
  stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
  truth(stack.ss_sp, 65536, "held", "malloc");
  if (sigaltstack(&stack, NULL) != 0) abort();
  on(SIGUSR1, allocates, 0);
  on(SIGUSR2, allocates, SA_ONSTACK);
  on(SIGALRM, allocates_and_jumps, 0);
  for (int i = 0; i < 20; ++i) {
    deep(i, SIGUSR1);
    deep(i, SIGUSR2);
    if (sigsetjmp(back, 1) == 0) deep(i, SIGALRM);
  }
  heapledger_stop_here();
  return 0;
}
