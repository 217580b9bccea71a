// SPDX-License-Identifier: Apache-2.0
//
// Functions of the allocator whose first five bytes are entered elsewhere than at the first one: by a part
// of theirs that stands apart, through a jump table, under a second name, by a neighbour.
#include <stdlib.h>

#include "truth.h"

#define FUNCTION(name, body)           \
  __asm__(".text\n.p2align 4\n"        \
          ".globl " name "\n"          \
          ".type " name ",@function\n" \
          name ":\n"                   \
          ".cfi_startproc\n"           \
          body                         \
          ".cfi_endproc\n"             \
          ".size " name ",.-" name "\n")

FUNCTION("pvalloc",
         "xor %eax,%eax\n"
         ".Lagain: inc %eax\n"
         "jmp .Lapart\n");
__asm__(".section .text.unlikely,\"ax\"\n"
        ".Lapart: cmp $3,%eax\n"
        "jne .Lagain\n"
        "jmp malloc@plt\n"
        ".text\n");

FUNCTION("valloc",
         "xor %eax,%eax\n"
         "0: inc %eax\n"
         "lea table(%rip),%rdx\n"
         "movslq (%rdx),%rcx\n"
         "add %rcx,%rdx\n"
         "cmp $3,%eax\n"
         "je 1f\n"
         "jmp *%rdx\n"
         "1: jmp malloc@plt\n"
         ".pushsection .rodata\n"
         ".p2align 2\n"
         "table: .long 0b-table\n"
         ".popsection\n");

// Both are entry points, three bytes apart.
FUNCTION("free_sized",
         "xor %eax,%eax\n"
         "nop\n"
         ".globl cfree\n"
         ".type cfree,@function\n"
         "cfree:\n"
         "xor %eax,%eax\n"
         "mov %rdi,%rdi\n"
         "jmp free@plt\n"
         ".size cfree,.-cfree\n");

FUNCTION("memalign",
         "mov %rsi,%rdi\n"
         "inside: mov %rdi,%rsi\n"
         "mov $256,%edi\n"
         "jmp aligned_alloc@plt\n");
FUNCTION("aligned_by_size", "jmp inside\n");

void* pvalloc(size_t size);
void* valloc(size_t size);
void* memalign(size_t alignment, size_t size);
void* aligned_by_size(size_t size);
void cfree(void* block);
void free_sized(void* block, size_t size);

static void gone(void* block, size_t size) { truth(block, size, "freed", "memalign"); }

int main(void) {
  for (size_t size = 3000; size < 3010; ++size) {
    truth(pvalloc(size), size, "held", "pvalloc");
    truth(valloc(size), size, "held", "valloc");
    truth(memalign(256, size), size, "held", "memalign");
    truth(aligned_by_size(size), size, "held", "aligned_alloc");
    void* one = memalign(256, size + 1000);
    void* other = memalign(256, size + 1000);
    gone(one, size + 1000);
    gone(other, size + 1000);
    cfree(one);
    free_sized(other, size + 1000);
  }
  heapledger_stop_here();
  return 0;
}
