// SPDX-License-Identifier: Apache-2.0
//
// A process with little room: does what its words say, one after the other, and prints what it computed.
//
//   as=N data=N     RLIMIT_AS, RLIMIT_DATA: N bytes more than it has now
//   lock=N          locks all its memory, also what comes later, without CAP_IPC_LOCK; RLIMIT_MEMLOCK: N bytes
//                   more than it has now
//   files=N fsize=N RLIMIT_NOFILE, RLIMIT_FSIZE
//   mappings=N      makes mappings until N more are allowed (vm.max_map_count)
//   refuse=WHAT     a seccomp filter: the call fails as the kernel would have it fail. WHAT is memory (mmap,
//                   mprotect, brk: ENOMEM), code (mmap and mprotect with PROT_EXEC: EPERM), reading
//                   (process_vm_readv: ENOSYS) or proc-reading (pread64 of /proc/PID/mem too: EPERM)
//   kill=code       the same as a filter that kills the process
//   mdwe            PR_SET_MDWE: memory is never both written and executed
//   room=N          malloc has N bytes that it keeps
//   work=N          allocates, moves, checks and frees N blocks
//   stop            heapledger_stop_here()
//   again WORDS     runs itself anew by exec, with these words
//   run PROGRAM ... runs another program by exec
//
// It returns 7; whatever it misses (memory, contents) it prints.
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "truth.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

static void fail(const char* what) {
  perror(what);
  exit(1);
}

// "VmSize:     2500 kB" of /proc/self/status, in bytes. Allocates nothing.
static rlim_t status_bytes(const char* name) {
  char text[4096];
  FILE* file = fopen("/proc/self/status", "r");
  if (file == NULL) fail("/proc/self/status");
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  const char* at = strstr(text, name);
  if (at == NULL) fail(name);
  return strtoul(at + strlen(name) + 1, NULL, 10) * 1024;
}

static void limit(int resource, rlim_t bytes) {
  const struct rlimit both = {bytes, bytes};
  if (setrlimit(resource, &both) != 0) fail("setrlimit");
}

static void lock_all(rlim_t more) {
  limit(RLIMIT_MEMLOCK, status_bytes("VmSize") + more);
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) fail("mlockall");
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct sets[2];
  if (syscall(SYS_capget, &header, sets) != 0) fail("capget");
  sets[0].effective &= ~(1u << CAP_IPC_LOCK);
  sets[0].permitted &= ~(1u << CAP_IPC_LOCK);
  if (syscall(SYS_capset, &header, sets) != 0) fail("capset");
}

// ---------------------------------------------------------------------------------------------

static struct sock_filter program[64];
static unsigned short length;

static void add(unsigned short code, unsigned char yes, unsigned char no, unsigned k) {
  program[length++] = (struct sock_filter)BPF_JUMP(code, k, yes, no);
}
static void load(unsigned offset) { add(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset); }

// If the call is `number`: `action`. With a mask only if bits of that are set in the word at `argument`.
static void on_call(unsigned number, unsigned argument, unsigned mask, unsigned action) {
  load(offsetof(struct seccomp_data, nr));
  add(BPF_JMP | BPF_JEQ | BPF_K, 0, mask != 0 ? 3 : 1, number);
  if (mask != 0) {
    load(argument);
    add(BPF_JMP | BPF_JSET | BPF_K, 0, 1, mask);
  }
  add(BPF_RET | BPF_K, 0, 0, action);
}

static void install(void) {
  add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
  const struct sock_fprog filter = {length, program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("no_new_privs");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) fail("seccomp");
}

static void forbid(const char* what, int kill) {
  const unsigned answer = kill ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM;
  length = 0;
  if (strcmp(what, "memory") == 0) {
    static const unsigned calls[] = {SYS_mmap, SYS_mprotect, SYS_mremap};
    for (int i = 0; i < 3; ++i) on_call(calls[i], 0, 0, SECCOMP_RET_ERRNO | ENOMEM);
  } else if (strcmp(what, "code") == 0) {
    const unsigned protection = offsetof(struct seccomp_data, args[2]);
    on_call(SYS_mmap, protection, PROT_EXEC, answer);
    on_call(SYS_mprotect, protection, PROT_EXEC, answer);
  } else if (strcmp(what, "reading") == 0 || strcmp(what, "proc-reading") == 0) {
    on_call(SYS_process_vm_readv, 0, 0, SECCOMP_RET_ERRNO | ENOSYS);
    on_call(SYS_process_vm_writev, 0, 0, SECCOMP_RET_ERRNO | ENOSYS);
    // No offset in a file is that high, but addresses are.
    const unsigned high = offsetof(struct seccomp_data, args[3]) + 4;
    if (what[0] == 'p') on_call(SYS_pread64, high, ~0u, SECCOMP_RET_ERRNO | EPERM);
  } else {
    fail(what);
  }
  install();
}

// Two pages of a kind never lie side by side, so each is a mapping of its own.
static void take_mappings(long left) {
  long most = 0;
  FILE* file = fopen("/proc/sys/vm/max_map_count", "r");
  if (file == NULL || fscanf(file, "%ld", &most) != 1) fail("max_map_count");
  fclose(file);
  const size_t size = (size_t)(most + 1) * 4096;
  char* base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) fail("mmap");
  long made = 0;
  while (mprotect(base + 2 * 4096 * made, 4096, PROT_READ) == 0) ++made;
  // Each took two, the last one perhaps one.
  for (long give = left / 2 + 1; give > 0; --give) {
    if (mprotect(base + 2 * 4096 * --made, 4096, PROT_NONE) != 0) fail("mprotect");
  }
}

static void take_room(size_t bytes) {
  mallopt(M_MMAP_THRESHOLD, INT_MAX);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  void* volatile all = malloc(bytes);
  if (all == NULL) fail("room");
  memset(all, 1, bytes);
  free(all);
}

// ---------------------------------------------------------------------------------------------

static unsigned long sum;

static size_t size_of(unsigned turn) { return 24 + turn * 7 % 80; }

NOINLINE static void* fresh(unsigned turn) { return malloc(size_of(turn)); }
NOINLINE static void* moved(void* block, unsigned turn) { return realloc(block, size_of(turn)); }

static void work(unsigned blocks) {
  unsigned char** all = calloc(blocks, sizeof *all);
  if (all == NULL) fail("work");
  for (unsigned i = 0; i < blocks; ++i) {
    all[i] = fresh(i);
    if (all[i] != NULL && i % 3 == 0) all[i] = moved(all[i], i + 5);
    if (all[i] == NULL) {
      printf("no memory for block %u\n", i);
      exit(2);
    }
    memset(all[i], (int)(i & 255), 24);
    if (i % 2 == 1) {
      free(all[i - 1]);
      all[i - 1] = NULL;
    }
  }
  for (unsigned i = 1; i < blocks; i += 2) {
    if (all[i][0] != (i & 255) || all[i][23] != (i & 255)) puts("wrong contents");
    sum += all[i][7];
  }
  heapledger_stop_here();
  for (unsigned i = 1; i < blocks; i += 2) free(all[i]);
  free(all);
}

static void farewell(void) { puts("handlers ran"); }

static long number(const char* word) {
  char* end;
  const long value = strtol(strchr(word, '=') + 1, &end, 10);
  return *end == 'M' ? value << 20 : *end == 'K' ? value << 10 : value;
}
static int is(const char* word, const char* name) { return strncmp(word, name, strlen(name)) == 0; }

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    char* const word = argv[i];
    if (is(word, "as=")) limit(RLIMIT_AS, status_bytes("VmSize") + (rlim_t)number(word));
    else if (is(word, "data=")) limit(RLIMIT_DATA, status_bytes("VmData") + (rlim_t)number(word));
    else if (is(word, "lock=")) lock_all((rlim_t)number(word));
    else if (is(word, "files=")) limit(RLIMIT_NOFILE, (rlim_t)number(word));
    else if (is(word, "fsize=")) limit(RLIMIT_FSIZE, (rlim_t)number(word));
    else if (is(word, "mappings=")) take_mappings(number(word));
    else if (is(word, "refuse=")) forbid(word + 7, 0);
    else if (is(word, "kill=")) forbid(word + 5, 1);
    else if (is(word, "room=")) take_room((size_t)number(word));
    else if (is(word, "work=")) work((unsigned)number(word));
    else if (is(word, "stop")) heapledger_stop_here();
    else if (is(word, "mdwe")) {
      if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0) fail("PR_SET_MDWE");
    } else if (is(word, "again")) {
      argv[i] = argv[0];
      execv("/proc/self/exe", argv + i);
      fail("exec");
    } else if (is(word, "run")) {
      execvp(argv[i + 1], argv + i + 1);
      fail(argv[i + 1]);
    } else {
      fail(word);
    }
  }
  atexit(farewell);
  printf("sum %lu\n", sum);
  return 7;
}
