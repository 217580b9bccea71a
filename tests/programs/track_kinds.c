// SPDX-License-Identifier: Apache-2.0
//
// The program that is built in every way a program can be built: what it holds must be known whether
// it is PIE or not, static or not, stripped or not, of glibc or musl.
#include <stdlib.h>
#include <string.h>

#include "truth.h"

NOINLINE static void* inner(size_t size) {
  void* block = malloc(size);
  if (block == NULL) abort();
  memset(block, 1, size);
  return block;
}

NOINLINE static void* outer(size_t size) {
  void* block = inner(size);
  __asm__ volatile("" ::: "memory");
  return block;
}

int main(void) {
  for (size_t size = 1000; size < 1010; ++size) truth(outer(size), size, "held", "malloc");
  truth(calloc(10, 30), 300, "held", "calloc");
  truth(realloc(inner(50), 70000), 70000, "held", "realloc");
  void* gone = outer(2000);
  truth(gone, 2000, "freed", "malloc");
  free(gone);
  heapledger_stop_here();
  return 0;
}
