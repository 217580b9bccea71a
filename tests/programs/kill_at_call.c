// SPDX-License-Identifier: Apache-2.0
//
// Preloaded into a debugger: counts the calls by which it acts on a process (ptrace, writes into
// /proc/PID/mem), keeps whether a thread's registers are borrowed for a call of the debugger's own, and
// may end the debugger by SIGKILL right before one of the calls.
//
//   HEAPLEDGER_CALLS   a file that holds a struct calls; it is mapped and shared
//
// Neither the variables nor the library reach what the debugger starts.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <unistd.h>

enum { kThreads = 64, kStatusRegisters = 1 };

struct calls {
  _Atomic uint64_t made;
  uint64_t kill_at;          // the call right before which to kill, from 1; 0: none
  uint64_t kill_parent;      // 1: not this process but the one that started it
  uint64_t kill_borrowed_at; // calls made while registers are borrowed until it is killed; 0: not
  uint64_t borrowed;         // threads whose registers the debugger has changed and not given back
};

static struct calls unused, *calls = &unused;
static pid_t self;
static struct {
  pid_t thread;
  struct user_regs_struct registers;  // what it had
  int back;                           // it has them again; floating-point registers may follow
} borrowed[kThreads];
static uint64_t made_borrowed;
static long (*next_ptrace)(int, pid_t, void*, void*);

__attribute__((constructor)) static void begin(void) {
  const char* path = getenv("HEAPLEDGER_CALLS");
  const int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  void* mapped = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) calls = mapped;
  close(file);
  self = getpid();
  next_ptrace = (long (*)(int, pid_t, void*, void*))dlsym(RTLD_NEXT, "ptrace");
  unsetenv("LD_PRELOAD");
  unsetenv("HEAPLEDGER_CALLS");
}

static void count(void) {
  const uint64_t made = atomic_fetch_add(&calls->made, 1) + 1;
  int now = made == calls->kill_at;
  if (calls->borrowed != 0) now |= ++made_borrowed == calls->kill_borrowed_at;
  if (!now) return;
  kill(calls->kill_parent ? getppid() : self, SIGKILL);
  while (!calls->kill_parent) pause();
}

// The general registers a thread will have after a request; 0: it does not write any.
static int written(int request, pid_t thread, void* address, void* data, struct user_regs_struct* registers) {
  const size_t at = (size_t)address;
  if (request == PTRACE_SETREGS) {
    *registers = *(const struct user_regs_struct*)data;
    return 1;
  }
  if (request == PTRACE_SETREGSET && at == kStatusRegisters) {
    *registers = *(const struct user_regs_struct*)((const struct iovec*)data)->iov_base;
    return 1;
  }
  if (request != PTRACE_POKEUSER || at >= sizeof *registers) return 0;
  next_ptrace(PTRACE_GETREGS, thread, NULL, registers);
  memcpy((char*)registers + at, &data, sizeof data);
  return 1;
}

// Not asked for: whether a system call starts anew.
static int same(struct user_regs_struct one, struct user_regs_struct other) {
  one.orig_rax = other.orig_rax;
  return memcmp(&one, &other, sizeof one) == 0;
}

static void borrow(pid_t thread, const struct user_regs_struct* later) {
  struct user_regs_struct now;
  next_ptrace(PTRACE_GETREGS, thread, NULL, &now);
  struct user_regs_struct before_trap = now;
  --before_trap.rip;  // that a debugger sets it back to the trap it has just run over is no loan
  if (same(now, *later) || same(before_trap, *later)) return;
  int free_slot = -1;
  for (int i = 0; i < kThreads; ++i) {
    if (borrowed[i].thread == thread) return;
    if (borrowed[i].thread == 0) free_slot = i;
  }
  if (free_slot < 0) return;
  borrowed[free_slot].thread = thread;
  borrowed[free_slot].registers = now;
  ++calls->borrowed;
}

static void give_back(pid_t thread, const struct user_regs_struct* now) {
  for (int i = 0; i < kThreads; ++i) {
    if (borrowed[i].thread == thread) borrowed[i].back = same(borrowed[i].registers, *now);
  }
}

static int is_about_registers(int request) {
  switch (request) {
    case PTRACE_PEEKUSER: case PTRACE_GETREGS: case PTRACE_GETFPREGS: case PTRACE_GETREGSET:
    case PTRACE_POKEUSER: case PTRACE_SETREGS: case PTRACE_SETFPREGS: case PTRACE_SETREGSET:
      return 1;
  }
  return 0;
}

// What is not about registers shows that all of them have been given back.
static void forget_given_back(void) {
  for (int i = 0; i < kThreads; ++i) {
    if (borrowed[i].thread == 0 || !borrowed[i].back) continue;
    borrowed[i].thread = 0;
    --calls->borrowed;
  }
}

long ptrace(enum __ptrace_request request, ...) {
  va_list arguments;
  va_start(arguments, request);
  const pid_t thread = va_arg(arguments, pid_t);
  void* address = va_arg(arguments, void*);
  void* data = va_arg(arguments, void*);
  va_end(arguments);
  if (!is_about_registers(request)) forget_given_back();
  count();
  struct user_regs_struct registers;
  const int writes = written(request, thread, address, data, &registers);
  if (writes) borrow(thread, &registers);
  const long result = next_ptrace(request, thread, address, data);
  if (writes) give_back(thread, &registers);
  return result;
}

static ssize_t write_at(const char* name, int file, const void* bytes, size_t size, off_t at) {
  typedef ssize_t (*Function)(int, const void*, size_t, off_t);
  forget_given_back();
  count();
  return ((Function)dlsym(RTLD_NEXT, name))(file, bytes, size, at);
}

ssize_t pwrite(int file, const void* bytes, size_t size, off_t at) {
  return write_at("pwrite", file, bytes, size, at);
}

ssize_t pwrite64(int file, const void* bytes, size_t size, off_t at) {
  return write_at("pwrite64", file, bytes, size, at);
}
