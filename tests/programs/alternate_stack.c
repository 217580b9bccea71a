// SPDX-License-Identifier: Apache-2.0
//
// Stopped in a signal handler on an alternate stack: locals of the handler and of the interrupted
// function both hold their blocks.
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "truth.h"

static void on_signal(int number) {
  (void)number;
  void* volatile local[4] = {NULL};
  local[1] = truth_block(64, "reachable", "handler_local");
  truth_scrub();
  heapledger_stop_here();
  local[2] = NULL;
}

NOINLINE static void interrupted(void) {
  void* volatile local[4] = {NULL};
  local[1] = truth_block(64, "reachable", "interrupted_local");
  truth_scrub();
  raise(SIGUSR1);
  local[2] = NULL;
}

int main(void) {
  stack_t stack = {.ss_size = 65536};
  stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  if (sigaltstack(&stack, NULL) != 0 || sigaction(SIGUSR1, &action, NULL) != 0) abort();
  interrupted();
  return 0;
}
