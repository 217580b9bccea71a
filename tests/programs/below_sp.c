// SPDX-License-Identifier: Apache-2.0
//
// What lies deeper than the red zone below a thread's stack pointer is dead.
#include "holding_thread.h"

HOLDING_THREAD(
    "movq (%rdi),%rax\n\t"
    "movq %rax,-256(%rsp)\n\t"
    "movq %rax,-136(%rsp)\n\t"
    "xor %eax,%eax\n\t",
    "definitely", "below_sp")
