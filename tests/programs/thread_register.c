// SPDX-License-Identifier: Apache-2.0
//
// A callee-saved register of another thread is the only holder.
#include "holding_thread.h"

HOLDING_THREAD(
    "push %rbx\n\t"
    "movq (%rdi),%rbx\n\t",
    "reachable", "in_rbx")
