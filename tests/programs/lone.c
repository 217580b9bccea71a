// SPDX-License-Identifier: Apache-2.0
//
// A block nobody points at.
#include "truth.h"

NOINLINE static void set_up(void) { truth_block(64, "definitely", "lone"); }
TRUTH_MAIN(set_up)
