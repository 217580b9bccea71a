// SPDX-License-Identifier: Apache-2.0
//
// A vector register of another thread is the only holder (a two-pointer copy in flight).
#include "holding_thread.h"

HOLDING_THREAD(
    "movq (%rdi),%xmm9\n\t"
    "pslldq $8,%xmm9\n\t",
    "reachable", "in_xmm")
