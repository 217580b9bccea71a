// SPDX-License-Identifier: Apache-2.0
//
// The 128 bytes below the stack pointer of a leaf function are live.
#include "holding_thread.h"

HOLDING_THREAD(
    "movq (%rdi),%rax\n\t"
    "andq $-8,%rax\n\t"
    "movq %rax,-120(%rsp)\n\t"
    "xor %eax,%eax\n\t",
    "reachable", "in_red_zone")
