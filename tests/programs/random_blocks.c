// SPDX-License-Identifier: Apache-2.0
//
// Blocks of every size and alignment, allocated, released and resized at random; those that are left are
// written down.
#include <stdlib.h>
#include <string.h>

#include "truth.h"

enum { kSlots = 3000, kSteps = 60000 };

static void* volatile blocks[kSlots];
static size_t sizes[kSlots];
static unsigned state = 7;

static unsigned random_below(unsigned limit) {
  state = state * 1103515245 + 12345;
  return (state >> 8) % limit;
}

static size_t random_size(void) {
  switch (random_below(16)) {
    case 0: return random_below(70000);
    case 1: return random_below(64) == 0 ? 200000 + random_below(200000) : 0;
    default: return random_below(700);
  }
}

static void* allocate(size_t size) {
  if (random_below(9) != 0) return malloc(size);
  return aligned_alloc((size_t)16 << random_below(random_below(50) == 0 ? 18 : 10), size);
}

int main(void) {
  for (int step = 0; step < kSteps; ++step) {
    const unsigned i = random_below(kSlots);
    if (blocks[i] == NULL) {
      sizes[i] = random_size();
      blocks[i] = allocate(sizes[i]);
    } else if (random_below(3) == 0) {
      sizes[i] = random_size() + 1;
      blocks[i] = realloc(blocks[i], sizes[i]);
    } else {
      free(blocks[i]);
      blocks[i] = NULL;
    }
  }
  for (int i = 0; i < kSlots; ++i) {
    if (blocks[i] != NULL) truth(blocks[i], sizes[i], "held", "malloc");
  }
  heapledger_stop_here();
  return 0;
}
