// SPDX-License-Identifier: Apache-2.0
//
// Allocates on stacks of 8 KiB with an unreadable page below: what the hooks need fits.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "truth.h"

enum { kPage = 4096, kStack = 2 * kPage };
static ucontext_t caller, callee;

static void body(void) {
  for (int i = 0; i < 50; ++i) {
    void* block = malloc(900 + i);
    block = realloc(block, 2000 + i);
    truth(block, 2000 + i, "held", "realloc");
    free(calloc(3, 30));
  }
}

int main(void) {
  for (int i = 0; i < 10; ++i) {
    char* guard = mmap(NULL, kPage + kStack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guard == MAP_FAILED || mprotect(guard + kPage, kStack, PROT_READ | PROT_WRITE) != 0) abort();
    getcontext(&callee);
    callee.uc_stack.ss_sp = guard + kPage;
    callee.uc_stack.ss_size = kStack;
    callee.uc_link = &caller;
    makecontext(&callee, body, 0);
    swapcontext(&caller, &callee);
    truth(guard, kPage + kStack, "held", "mmap");
  }
  heapledger_stop_here();
  return 0;
}
