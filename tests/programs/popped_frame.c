// SPDX-License-Identifier: Apache-2.0
//
// A function that has returned left its pointer in the stack below: nobody holds the block.
#include "truth.h"

NOINLINE static void dead_frame(void) {
  void* volatile locals[512];
  void* block = truth_block(64, "definitely", "in_dead_frame");
  for (int i = 0; i < 512; ++i) locals[i] = block;
}

// The part of the dead frame that the next frame and its red zone will cover; the deeper words stand
// there when the program is judged.
NOINLINE static void clear_shallow_part(void) {
  volatile char shallow[1024];
  for (unsigned i = 0; i < sizeof(shallow); ++i) shallow[i] = 0;
}

int main(void) {
  dead_frame();
  clear_shallow_part();
  truth_scrub_registers();
  heapledger_stop_here();
  return 0;
}
