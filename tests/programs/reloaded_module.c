// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

__attribute__((noinline)) void* reloaded_allocate(void) {
  void* block = malloc(321);
  __asm__ volatile("" : "+r"(block) : : "memory");
  return block;
}
