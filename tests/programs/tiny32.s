# SPDX-License-Identifier: Apache-2.0
#
# A 32-bit program without any library: heapledger must refuse it in one line.
    .text
    .globl _start
_start:
    nop
    .globl stop_here
stop_here:
    nop
    movl $1, %eax
    xorl %ebx, %ebx
    int $0x80
    .section .note.GNU-stack,"",@progbits
