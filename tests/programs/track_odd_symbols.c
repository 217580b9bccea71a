// SPDX-License-Identifier: Apache-2.0
//
// Functions of the allocator whose symbols are not plain: chosen at run time (IFUNC), without a type and a
// size, of a library and of the program itself, with their own memory below.
#include <stdlib.h>

#include "truth.h"

#ifdef LIBRARY

static char pool[1 << 20];
static size_t used;

static void* from_pool(size_t size) {
  void* block = pool + used;
  used += (size + 31) / 16 * 16;
  return block;
}

static void* aligned_plainly(size_t alignment, size_t size) { return from_pool(size + 0 * alignment); }
static void* (*choose_memalign(void))(size_t, size_t) { return aligned_plainly; }
void* memalign(size_t alignment, size_t size) __attribute__((ifunc("choose_memalign")));

__attribute__((used)) static void* take(size_t size) { return from_pool(size); }
__asm__(".text\n.p2align 4\n"
        ".globl pvalloc\n"
        "pvalloc: jmp take\n"
        ".p2align 4\n");

#else

void* memalign(size_t alignment, size_t size);
void* pvalloc(size_t size);

static void* chosen_valloc(size_t size) { return aligned_alloc(4096, size); }
static void* (*choose_valloc(void))(size_t) { return chosen_valloc; }
void* valloc(size_t size) __attribute__((ifunc("choose_valloc")));

static void release(void* block) { free(block); }
static void (*choose_cfree(void))(void*) { return release; }
void cfree(void* block) __attribute__((ifunc("choose_cfree")));

int main(void) {
  for (size_t size = 3000; size < 3010; ++size) {
    truth(memalign(16, size), size, "held", "memalign");
    truth(pvalloc(size), size, "held", "pvalloc");
    truth(valloc(size), size, "held", "valloc");
    void* gone = valloc(size + 1000);
    truth(gone, size + 1000, "freed", "valloc");
    cfree(gone);
  }
  heapledger_stop_here();
  return 0;
}

#endif
