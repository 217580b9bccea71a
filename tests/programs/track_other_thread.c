// SPDX-License-Identifier: Apache-2.0
//
// Blocks released by a thread that did not allocate them, addresses used again by another thread, a
// block handed over and grown there.
#include <pthread.h>
#include <stdlib.h>

#include "truth.h"

enum { kBlocks = 100 };
static void* volatile blocks[kBlocks];

static void* release_half(void* unused) {
  for (int i = 0; i < kBlocks; i += 2) free(blocks[i]);
  return unused;
}

// The main thread's blocks are freed here, so these take the same addresses.
static void* take_again(void* unused) {
  void* mine[kBlocks / 2];
  for (int i = 0; i < kBlocks; i += 2) free(blocks[i]);
  for (int i = 0; i < kBlocks / 2; ++i) {
    mine[i] = malloc(290);
    truth(mine[i], 290, "held", "malloc");
  }
  return unused;
}

static void* grow(void* unused) {
  for (int i = 1; i < kBlocks; i += 2) {
    void* grown = realloc(blocks[i], 3000 + i);
    truth(grown, 3000 + i, "held", "realloc");
  }
  return unused;
}

static void fill(size_t size) {
  for (int i = 0; i < kBlocks; ++i) blocks[i] = malloc(size);
}

static void run(void* (*body)(void*)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, body, NULL) != 0) abort();
  pthread_join(thread, NULL);
}

int main(void) {
  fill(300);
  run(take_again);
  run(grow);
  fill(200);
  run(release_half);
  for (int i = 1; i < kBlocks; i += 2) truth(blocks[i], 200, "held", "malloc");
  heapledger_stop_here();
  return 0;
}
