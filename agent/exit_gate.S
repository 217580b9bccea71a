# SPDX-License-Identifier: Apache-2.0
#
# Where the end of a process is seen: its _exit leads here (tracking/exit_gate.h), and a debugger that wants
# to be told has a trap at heapledger_exit_stop. When the debugger has died and its trap was left, the thread
# takes a SIGTRAP there; so the signal is made harmless first, for what is left of the process's life.
#
# rdi is the status and the stack as at the function's entry, here and at the stop; r11 is the site.

    .text
    .globl heapledger_exit_gate
    .hidden heapledger_exit_gate
    .type heapledger_exit_gate, @function
heapledger_exit_gate:
    .cfi_startproc
    push %rdi
    .cfi_adjust_cfa_offset 8
    push %r11
    .cfi_adjust_cfa_offset 8
    # struct kernel_sigaction, from its end: mask, restorer, SA_RESTORER | SA_ONSTACK, handler
    push $0
    .cfi_adjust_cfa_offset 8
    lea heapledger_exit_return(%rip), %rax
    push %rax
    .cfi_adjust_cfa_offset 8
    push $0x0c000000
    .cfi_adjust_cfa_offset 8
    lea heapledger_exit_trapped(%rip), %rax
    push %rax
    .cfi_adjust_cfa_offset 8
    mov $13, %eax               # rt_sigaction(SIGTRAP, it, 0, 8)
    mov $5, %edi
    mov %rsp, %rsi
    xor %edx, %edx
    mov $8, %r10d
#ifndef HEAPLEDGER_MUTANT_EXIT_UNGUARDED
    syscall
#endif
    movq $0x10, (%rsp)          # a set of SIGTRAP only
    mov $14, %eax               # rt_sigprocmask(SIG_UNBLOCK, it, 0, 8)
    mov $1, %edi
    mov %rsp, %rsi
    xor %edx, %edx
    mov $8, %r10d
    syscall
    add $32, %rsp
    .cfi_adjust_cfa_offset -32
    pop %r11
    .cfi_adjust_cfa_offset -8
    pop %rdi
    .cfi_adjust_cfa_offset -8
    .globl heapledger_exit_stop
    .hidden heapledger_exit_stop
heapledger_exit_stop:
    nop                         # behind a trap in its place the next instruction begins
    jmp *(%r11)
    .cfi_endproc
    .size heapledger_exit_gate, . - heapledger_exit_gate

    .type heapledger_exit_trapped, @function
heapledger_exit_trapped:
    ret
    .size heapledger_exit_trapped, . - heapledger_exit_trapped

    .type heapledger_exit_return, @function
heapledger_exit_return:
    mov $15, %eax               # rt_sigreturn
    syscall
    .size heapledger_exit_return, . - heapledger_exit_return

    .section .note.GNU-stack,"",@progbits
