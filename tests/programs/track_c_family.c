// SPDX-License-Identifier: Apache-2.0
//
// Every allocating and releasing function of the C family, what each holds and what is gone: zero
// sizes, failing calls, aligned blocks, realloc that shrinks, grows in place, moves, fails, frees.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

#include "truth.h"

#define KEEP(expression, size, kind)            \
  do {                                          \
    void* volatile kept = (expression);         \
    if (kept == NULL) abort();                  \
    truth(kept, size, "held", kind);            \
  } while (0)

static volatile size_t huge = SIZE_MAX / 2;

static void* aligned_pointer(size_t alignment, size_t size) {
  void* out = NULL;
  return posix_memalign(&out, alignment, size) == 0 ? out : NULL;
}

static void allocate_each(void) {
  KEEP(malloc(100), 100, "malloc");
  KEEP(malloc(0), 0, "malloc");
  KEEP(malloc(3 << 20), 3 << 20, "malloc");
  KEEP(calloc(7, 11), 77, "calloc");
  KEEP(calloc(0, 8), 0, "calloc");
  KEEP(calloc(1 << 10, 1 << 11), 1 << 21, "calloc");
  KEEP(realloc(NULL, 55), 55, "realloc");
#ifndef WITHOUT_REALLOCARRAY
  KEEP(reallocarray(NULL, 6, 9), 54, "reallocarray");
#endif
  KEEP(aligned_pointer(256, 300), 300, "posix_memalign");
  KEEP(aligned_pointer(1 << 16, 500000), 500000, "posix_memalign");
  KEEP(aligned_pointer(8, 0), 0, "posix_memalign");
  // glibc and musl define aligned_alloc and memalign as one function: either name may stand for both.
  KEEP(aligned_alloc(64, 640), 640, "aligned_alloc|memalign");
  KEEP(memalign(4096, 33), 33, "aligned_alloc|memalign");
#ifndef WITHOUT_VALLOC
  KEEP(valloc(44), 44, "valloc");
  KEEP(pvalloc(5000), 5000, "pvalloc");
#endif
}

static void fail_each(void) {
  void* out = (void*)8;
  if (malloc(huge * 2) != NULL || calloc(huge, 4) != NULL || aligned_alloc(64, huge * 2) != NULL ||
      posix_memalign(&out, 64, huge * 2) != ENOMEM || posix_memalign(&out, 24, 10) != EINVAL) {
    abort();
  }
}

static void release_each(void) {
  void* a = malloc(111);
  void* b = calloc(3, 37);
  void* c = memalign(512, 111);
  truth(a, 111, "freed", "malloc");
  truth(b, 111, "freed", "calloc");
  truth(c, 111, "freed", "memalign");
  free(a);
  free(b);
  free(c);
  free(NULL);
}

static void reallocate_each(void) {
  void* shrunk = malloc(1000);
  KEEP(realloc(shrunk, 800), 800, "realloc");
  void* to_grow = malloc(100000);  // at the top: grows where it stands
  KEEP(realloc(to_grow, 110000), 110000, "realloc");
  void* volatile to_move = malloc(48);
  void* blocker = malloc(48);
  truth(blocker, 48, "held", "malloc");
  void* old = to_move;
  void* moved = realloc(old, 9000);
  if (moved == to_move) abort();
  truth(moved, 9000, "held", "realloc");
  truth(to_move, 48, "freed", "malloc");
  void* volatile mapped = malloc(1 << 20);
  old = mapped;
  moved = realloc(old, 64 << 20);
  truth(moved, 64 << 20, "held", "realloc");
  if (moved != mapped) truth(mapped, 1 << 20, "freed", "malloc");
  void* volatile stays = malloc(123);
  old = stays;
  if (realloc(old, huge * 2) != NULL) abort();
  truth(stays, 123, "held", "malloc");
#ifndef WITHOUT_REALLOCARRAY
  if (reallocarray(stays, huge, 16) != NULL) abort();
#endif
}

// realloc(p, 0) frees in glibc; musl gives a block of no bytes.
static void reallocate_to_nothing(void) {
  void* volatile gone = malloc(2222);
  void* old = gone;
  void* nothing = realloc(old, 0);
  if (nothing == NULL) {
    truth(gone, 2222, "freed", "malloc");
  } else {
    truth(nothing, 0, "held", "realloc");
  }
}

int main(void) {
  reallocate_to_nothing();
  allocate_each();
  fail_each();
  release_each();
  reallocate_each();
  heapledger_stop_here();
  return 0;
}
