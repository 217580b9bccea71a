// SPDX-License-Identifier: Apache-2.0
//
// A lost block whose address a debugger can work out.
#include "truth.h"

unsigned long hidden;

NOINLINE static void set_up(void) {
  hidden = (unsigned long)truth_block(96, "definitely", "lost") ^ 0x5555;
}
TRUTH_MAIN(set_up)
