// SPDX-License-Identifier: Apache-2.0
//
// See truth.h. Uses no libc function that allocates.
#define _GNU_SOURCE
#include "truth.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_DO_LEAK_CHECK
#endif

static int truth_file = -2;  // -2: not asked for yet; -1: nowhere to write

enum { kLongestLine = 512 };

// A fifo to wait at, so that a debugger can attach at a known place: a number of lines written, or the
// stop. Asked for before main: at the stop no register may change that a program has set up.
static const char* gate;
static int gate_line;  // 0: at the stop
static int lines;

__attribute__((constructor)) static void find_gate(void) {
  const char* at = getenv("HEAPLEDGER_GATE_LINE");
  gate = getenv("HEAPLEDGER_GATE");
  gate_line = at == NULL ? 0 : atoi(at);
}

// Changes the registers of a system call's arguments and result only.
static inline long system_call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c)
                   : "rcx", "r11", "memory");
  return result;
}

// Opening it tells who has the other end; a byte from there is the sign to go on.
static void wait_at_gate(void) {
  char sign;
  const long fd = system_call(SYS_open, (long)gate, O_RDONLY, 0);
  system_call(SYS_read, fd, (long)&sign, 1);
  system_call(SYS_close, fd, 0, 0);
}

static char* put_text(char* out, const char* end, const char* text) {
  while (*text != 0 && out < end) *out++ = *text++;
  return out;
}

static char* put_number(char* out, uintptr_t value, unsigned base) {
  char digits[24];
  int count = 0;
  do {
    digits[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  while (count > 0) *out++ = digits[--count];
  return out;
}

void truth(const volatile void* address, size_t size, const char* what, const char* name) {
  if (truth_file == -2) {
    const char* path = getenv("HEAPLEDGER_TRUTH");
    truth_file = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
  if (truth_file < 0) return;
  // On the stack: threads and signal handlers write at the same time. O_APPEND keeps the lines apart.
  char line[kLongestLine];
  const char* end = line + sizeof(line) - 1;
  char* out = put_text(put_number(line, (uintptr_t)address, 16), end, " ");
  out = put_text(put_number(out, size, 10), end, " ");
  out = put_text(put_text(out, end, what), end, " ");
  out = put_text(put_text(out, end, name), end, "\n");
  if (write(truth_file, line, (size_t)(out - line)) != out - line) abort();
  memset(line, 0, sizeof(line));
  __asm__ volatile("" : : "r"(line) : "memory");  // it is really done
  if (gate != NULL && ++lines == gate_line) wait_at_gate();
}

void* truth_block(size_t size, const char* what, const char* name) {
  void* block = malloc(size);
  if (block == NULL) abort();
  memset(block, 0, size);
  truth(block, size, what, name);
  return block;
}

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

NOINLINE void heapledger_stop_here(void) {
  if (gate != NULL && gate_line == 0) wait_at_gate();
  VALGRIND_DO_LEAK_CHECK;
  if (__lsan_do_recoverable_leak_check) __lsan_do_recoverable_leak_check();
  __asm__ volatile("" ::: "memory");
}

NOINLINE void truth_scrub_registers(void) {
  __asm__ volatile(
      "xor %%eax,%%eax; xor %%ecx,%%ecx; xor %%edx,%%edx; xor %%esi,%%esi; xor %%edi,%%edi\n\t"
      "xor %%r8d,%%r8d; xor %%r9d,%%r9d; xor %%r10d,%%r10d; xor %%r11d,%%r11d\n\t"
      "pxor %%xmm0,%%xmm0; pxor %%xmm1,%%xmm1; pxor %%xmm2,%%xmm2; pxor %%xmm3,%%xmm3\n\t"
      "pxor %%xmm4,%%xmm4; pxor %%xmm5,%%xmm5; pxor %%xmm6,%%xmm6; pxor %%xmm7,%%xmm7\n\t"
      "pxor %%xmm8,%%xmm8; pxor %%xmm9,%%xmm9; pxor %%xmm10,%%xmm10; pxor %%xmm11,%%xmm11\n\t"
      "pxor %%xmm12,%%xmm12; pxor %%xmm13,%%xmm13; pxor %%xmm14,%%xmm14; pxor %%xmm15,%%xmm15"
      :
      :
      : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "xmm0", "xmm1",
        "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
        "xmm13", "xmm14", "xmm15");
  if (__builtin_cpu_supports("avx")) __asm__ volatile("vzeroall" ::: "memory");
  if (__builtin_cpu_supports("avx512f")) {
    __asm__ volatile(
        ".irp n,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
        "vpxorq %%zmm\\n,%%zmm\\n,%%zmm\\n\n\t"
        ".endr" ::: "memory");
  }
}

NOINLINE void truth_scrub(void) {
  volatile char dead[48 * 1024];
  for (size_t i = 0; i < sizeof(dead); ++i) dead[i] = 0;
  truth_scrub_registers();
}

int truth_tid(void) { return (int)syscall(SYS_gettid); }

void truth_wait_thread_gone(int tid) {
  while (syscall(SYS_tgkill, getpid(), tid, 0) == 0) sched_yield();
}
