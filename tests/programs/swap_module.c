// SPDX-License-Identifier: Apache-2.0
//
// The libraries of track_same_address, one source with different names: same layout, other code. PAD
// moves the call and changes the frame, so that the rules of one are wrong for the other.
#include <stdlib.h>

#ifdef SECOND
#define ALLOCATES second_allocates
#ifdef TWIN  // the very same code: only the library's name tells them apart
#define WORDS 2
#else
#define WORDS 40
#endif
#else
#define ALLOCATES first_allocates
#define WORDS 2
#endif

__attribute__((noinline)) static void* inner(size_t size) {
  volatile long frame[WORDS];
  for (int i = 0; i < WORDS; ++i) frame[i] = i;
  void* block = malloc(size);
  frame[0] = 1;
  return block;
}

void* ALLOCATES(size_t size) {
  void* block = inner(size);
  __asm__ volatile("" ::: "memory");
  return block;
}
