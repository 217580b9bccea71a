// SPDX-License-Identifier: Apache-2.0
//
// A suspended coroutine on a stack of its own: the stack is a block, its locals hold another. A held
// one keeps its local, a lost one loses it.
#define _GNU_SOURCE
#include <stdlib.h>
#include <ucontext.h>

#include "truth.h"

enum { kStack = 100000 };
typedef struct Coroutine {
  ucontext_t context;
  char* stack;
} Coroutine;
static ucontext_t caller;
static Coroutine* volatile held;
static Coroutine* volatile starting;

NOINLINE static void suspend(void* volatile* local) {
  (void)local;
  truth_scrub();
  swapcontext(&starting->context, &caller);
}

static void run_kept(void) {
  void* volatile local[4] = {NULL};
  local[1] = truth_block(72, "reachable", "kept_local");
  suspend(local);
}
static void run_lost(void) {
  void* volatile local[4] = {NULL};
  local[1] = truth_block(72, "indirectly", "lost_local");
  suspend(local);
}

NOINLINE static Coroutine* make(void (*run)(void), const char* what, const char* inner) {
  Coroutine* made = truth_block(sizeof(Coroutine), what, "coroutine");
  made->stack = truth_block(kStack, inner, "coroutine_stack");
  getcontext(&made->context);
  made->context.uc_stack.ss_sp = made->stack;
  made->context.uc_stack.ss_size = kStack;
  made->context.uc_link = &caller;
  makecontext(&made->context, run, 0);
  starting = made;
  swapcontext(&caller, &made->context);
  return made;
}

NOINLINE static void set_up(void) {
  held = make(run_kept, "reachable", "reachable");
  make(run_lost, "definitely", "indirectly");
  starting = NULL;
  // swapcontext saved a register set of ours here, too.
  volatile char* clear = (volatile char*)&caller;
  for (size_t i = 0; i < sizeof(caller); ++i) clear[i] = 0;
}
TRUTH_MAIN(set_up)
