// SPDX-License-Identifier: Apache-2.0
//
// One call of each kind of entry point from a function of its own, twice: the first time lets the loader
// find them. Stops after each.
#include <stdlib.h>
#include <sys/mman.h>

#include "truth.h"

static void* volatile block;
static volatile size_t size = 40;  // what memset and memcpy do with it takes few steps

extern "C" {
NOINLINE void calls_malloc() { block = malloc(size); }
NOINLINE void calls_free() { free(block); }
NOINLINE void calls_calloc() { block = calloc(size, 1); }
NOINLINE void calls_realloc() { block = realloc(block, 2 * size); }
NOINLINE void calls_memalign() { block = aligned_alloc(256, size); }
NOINLINE void calls_new() { block = ::operator new(size); }
NOINLINE void calls_delete() { ::operator delete(block); }
NOINLINE void calls_mmap() {
  block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
NOINLINE void calls_munmap() { munmap(block, size); }

}  // extern "C"

NOINLINE static void calls_all() {
  calls_malloc();
  calls_realloc();
  calls_free();
  calls_calloc();
  calls_free();
  calls_memalign();
  calls_free();
  calls_new();
  calls_delete();
  calls_mmap();
  calls_munmap();
}

int main() {
  calls_all();
  heapledger_stop_here();
  calls_all();
  heapledger_stop_here();
  return 0;
}
