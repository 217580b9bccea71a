// SPDX-License-Identifier: Apache-2.0
//
// Per-thread state without ELF TLS: found by the thread pointer (%fs:0), valid while the tid in the
// thread control block is the one it was made for. A control block reused by a new thread gets a new
// index, so that a record's tid stays right.
#pragma once

#include "agent/arena.h"

namespace heapledger::agent {

// Slow path: first sight of a thread pointer, or a new thread under an old one.
Thread* adopt_thread(State* s, uint64_t tcb);

inline uint64_t thread_slot(uint64_t tcb) {
  return (tcb >> 6) * 0x9e3779b97f4a7c15ull >> 51;  // 13 bits: kThreadTableSize
}
static_assert(kThreadTableSize == 1u << 13);
inline constexpr unsigned kThreadProbes = 64;

// This thread's state; nullptr when there is none (no memory, table full, no thread pointer yet).
inline Thread* this_thread(State* s) {
  uint32_t tid_offset = load(s->tid_offset);
  uint64_t tcb;
  if (__builtin_expect(tid_offset == 0, 0)) {  // before the first thread was seen, %fs may be 0
    tcb = sys::thread_pointer();
    return tcb == 0 ? nullptr : adopt_thread(s, tcb);
  }
  asm volatile("mov %%fs:0, %0" : "=r"(tcb));
  const ThreadEntry& entry = s->threads[thread_slot(tcb)];
  if (__builtin_expect(load(entry.tcb) == encode(tcb), 1)) {
    Thread* t = reinterpret_cast<Thread*>(load(entry.thread));
    if (__builtin_expect(t != nullptr, 1) &&
        __builtin_expect(*reinterpret_cast<const volatile uint32_t*>(tcb + tid_offset) == t->tid, 1)) {
      return t;
    }
  }
  return adopt_thread(s, tcb);
}

}  // namespace heapledger::agent
