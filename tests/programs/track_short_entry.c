// SPDX-License-Identifier: Apache-2.0
//
// Functions of the allocator whose entry no jump can replace: a loop leads back into their first five
// bytes. Two threads call them at the same time.
#include <pthread.h>
#include <stdlib.h>

#include "truth.h"

#define UNPATCHABLE(name, target)             \
  __asm__(".text\n.globl " name "\n"          \
          ".type " name ",@function\n" name   \
          ":\n"                               \
          ".cfi_startproc\n"                  \
          "xor %eax,%eax\n"                   \
          "1: inc %eax\n"                     \
          "cmp $3,%eax\n"                     \
          "jne 1b\n"                          \
          "jmp " target "@plt\n"              \
          ".cfi_endproc\n"                    \
          ".size " name ",.-" name "\n")
UNPATCHABLE("pvalloc", "malloc");
UNPATCHABLE("cfree", "free");

void* pvalloc(size_t size);
void cfree(void* block);

static void* body(void* unused) {
  for (size_t size = 3000; size < 3020; ++size) {
    truth(pvalloc(size), size, "held", "pvalloc");
    void* gone = pvalloc(size + 1000);
    truth(gone, size + 1000, "freed", "pvalloc");
    cfree(gone);
  }
  return unused;
}

int main(void) {
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) {
    if (pthread_create(&threads[i], NULL, body, NULL) != 0) abort();
  }
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
  heapledger_stop_here();
  return 0;
}
