// SPDX-License-Identifier: Apache-2.0
//
// The few system calls the agent makes, raw: no libc, errno of the program left alone.
#pragma once

#include "agent/protocol.h"

namespace heapledger::agent {

inline long syscall6(long number, uint64_t a, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0,
                     uint64_t e = 0, uint64_t f = 0) {
  long result;
  register uint64_t r10 asm("r10") = d;
  register uint64_t r8 asm("r8") = e;
  register uint64_t r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

inline constexpr uint64_t kPage = 4096;

namespace sys {
inline constexpr long kMmap = 9, kMunmap = 11, kRtSigprocmask = 14, kMadvise = 28, kShmctl = 31,
                      kArchPrctl = 158, kGettid = 186;

inline void leave_out_of_cores(uint64_t begin, uint64_t bytes) {
  syscall6(kMadvise, begin, bytes, 16 /*MADV_DONTDUMP*/);
}
inline void unmap(uint64_t begin, uint64_t bytes) { syscall6(kMunmap, begin, bytes); }
inline constexpr uint64_t kExists = 17;
// Zeroed memory at just these addresses. 0, or an errno: kExists when something is there already.
inline uint64_t map_at(uint64_t begin, uint64_t bytes) {
  long p = syscall6(kMmap, begin, bytes, 3 /*READ|WRITE*/,
                    0x100022 /*PRIVATE|ANONYMOUS|FIXED_NOREPLACE*/, ~uint64_t{0}, 0);
  if (p < 0 && p > -4096) return uint64_t(-p);
  if (uint64_t(p) == begin) return 0;
  unmap(uint64_t(p), bytes);  // before Linux 4.17 the flag is unknown, and the address a hint
  return kExists;
}
inline void wipe_on_fork(uint64_t page) { syscall6(kMadvise, page, kPage, 18); }
inline uint32_t thread_id() { return uint32_t(syscall6(kGettid, 0)); }
inline uint64_t thread_pointer() {  // without touching memory at %fs:0
  uint64_t base = 0;
  syscall6(kArchPrctl, 0x1003 /*ARCH_GET_FS*/, reinterpret_cast<uint64_t>(&base));
  return base;
}
// Can 8 bytes at `address` be read? The kernel copies the set before it looks at the invalid `how`:
// EFAULT or EINVAL (the way Abseil asks; no signal is masked, and no seccomp filter forbids it).
inline bool readable(uint64_t address) {
  return syscall6(kRtSigprocmask, ~uint64_t{0}, address, 0, 8) != -14 /*EFAULT*/;
}
// Everything that can be held off, also what the C library keeps for itself. Returns what was.
inline uint64_t hold_signals() {
  uint64_t all = ~uint64_t{0}, before = 0;
  syscall6(kRtSigprocmask, 2 /*SIG_SETMASK*/, reinterpret_cast<uint64_t>(&all),
           reinterpret_cast<uint64_t>(&before), 8);
  return before;
}
inline void restore_signals(uint64_t before) {
  syscall6(kRtSigprocmask, 2, reinterpret_cast<uint64_t>(&before), 0, 8);
}
inline uint64_t shared_segment_size(uint64_t id) {
  uint64_t info[14] = {};  // struct shmid64_ds: ipc64_perm is 48 bytes, then shm_segsz
  return syscall6(kShmctl, id, 2 /*IPC_STAT*/, reinterpret_cast<uint64_t>(info)) == 0 ? info[6] : 0;
}
}  // namespace sys

inline uint64_t timestamp() {
  uint32_t low, high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high));
  return uint64_t(high) << 32 | low;
}

// Words shared with other threads, and with signal handlers of this one.
template <typename T>
T load(const T& word) { return __atomic_load_n(&word, __ATOMIC_ACQUIRE); }
template <typename T>
void publish(T& word, T value) {
#ifdef HEAPLEDGER_MUTANT_PLAIN_STORE  // tests/agent/code
  word = value;
#else
  __atomic_store_n(&word, value, __ATOMIC_RELEASE);
#endif
}
template <typename T>
void count(T& word) { __atomic_fetch_add(&word, 1, __ATOMIC_RELAXED); }
template <typename T>
bool replace(T& word, T expected, T value) {
  return __atomic_compare_exchange_n(&word, &expected, value, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE);
}

inline uint64_t word_at(uint64_t address) { return *reinterpret_cast<const volatile uint64_t*>(address); }

}  // namespace heapledger::agent
