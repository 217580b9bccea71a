# SPDX-License-Identifier: Apache-2.0
#
# Hooks the C++ calling convention cannot express: the site comes in r11, because no argument register
# is free (mmap) or none may be disturbed (operator new and delete, which are jumped to).

    .text

# operator new / delete: note the kind, then jump to the real function with the stack as it was.
    .globl hook_note
    .hidden hook_note
    .type hook_note, @function
hook_note:
    .cfi_startproc
    push %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    mov %rsp, %rbp
    .cfi_def_cfa_register %rbp
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %r8
    push %r9
    push %r10
    push %r11
    mov %rdi, %rdx
    mov %r11, %rdi
    lea 8(%rbp), %rsi
    call heapledger_note
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    pop %rbp
    .cfi_def_cfa %rsp, 8
    .cfi_restore %rbp
    jmp *(%r11)
    .cfi_endproc
    .size hook_note, . - hook_note

# mmap: its six arguments stay where they are; site and frame pointer follow on the stack.
    .globl hook_mmap
    .hidden hook_mmap
    .type hook_mmap, @function
hook_mmap:
    .cfi_startproc
    push %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    mov %rsp, %rbp
    .cfi_def_cfa_register %rbp
    push %rbp
    push %r11
    call heapledger_mmap
    leave
    .cfi_def_cfa %rsp, 8
    .cfi_restore %rbp
    ret
    .cfi_endproc
    .size hook_mmap, . - hook_mmap

    .section .note.GNU-stack,"",@progbits
