// SPDX-License-Identifier: Apache-2.0
//
// What a labelled program says about itself.
//
// Each program of this folder sets up one situation, writes what it expects about its own blocks to
// the file that the environment variable HEAPLEDGER_TRUTH names, and calls heapledger_stop_here()
// when it is to be judged. The expectations come from the program's own knowledge, as text:
//
//   ADDRESS(hex) SIZE(decimal) CLASS NAME
//
//   definitely indirectly possibly reachable   what the scan of issue "leaks" must say
//   held                                       allocated by the entry point NAME, not released
//   freed                                      must not be outstanding
//
// With HEAPLEDGER_GATE (a fifo) a program waits for a byte from it at the stop, or right behind line
// HEAPLEDGER_GATE_LINE: for debuggers that attach.
//
// Traps (each was met): the compiler deletes stores nobody reads: holders are volatile or external.
// Values survive in dead stack, in registers and in padding: set up in a function that has returned
// when the program stops, and scrub. Never keep an expected address in memory.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NOINLINE __attribute__((noinline))

// Writes one line at once; nothing of it stays in memory. The last line about an address counts.
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((access(none, 1)))
#endif
void truth(const volatile void* address, size_t size, const char* what, const char* name);

// The moment to be judged: a debugger's breakpoint. Valgrind and LeakSanitizer judge here too.
void heapledger_stop_here(void);

// Clears caller-saved registers (vector registers too) and the dead stack below the caller.
void truth_scrub(void);
void truth_scrub_registers(void);  // without the stack

// malloc, zeroed, written down.
void* truth_block(size_t size, const char* what, const char* name);

// Waits until the kernel has no such thread any more.
void truth_wait_thread_gone(int tid);
int truth_tid(void);

// The body of most programs: set up in a frame that is gone when the program is judged.
#define TRUTH_MAIN(setup)    \
  int main(void) {           \
    setup();                 \
    truth_scrub();           \
    heapledger_stop_here();  \
    return 0;                \
  }

#ifdef __cplusplus
}
#endif
