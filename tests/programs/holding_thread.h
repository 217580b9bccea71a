// SPDX-License-Identifier: Apache-2.0
//
// A thread that is the only holder of a block, in one place that instructions name, and spins.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "truth.h"

static void* volatile holding_slot;
static volatile int holding_ready;

// `take`: assembly that puts the pointer at (%rdi) where it is to be held. Afterwards the thread has it
// nowhere else: the slot is cleared, %rsi and %rdi are, and `take` has to clear what it used besides.
#define HOLDING_THREAD(take, what, name)                                                             \
  __attribute__((naked, noinline)) static void hold(void* volatile* from, volatile int* flag) {      \
    __asm__(take                                                                                     \
            "movq $0,(%rdi)\n\t"                                                                     \
            "movl $1,(%rsi)\n\t"                                                                     \
            "xor %esi,%esi\n\t"                                                                      \
            "xor %edi,%edi\n\t"                                                                      \
            "1: pause\n\t"                                                                           \
            "jmp 1b\n\t");                                                                           \
  }                                                                                                  \
  static void* worker(void* unused) {                                                                \
    holding_slot = truth_block(64, what, name);                                                      \
    truth_scrub();                                                                                   \
    hold(&holding_slot, &holding_ready);                                                             \
    return unused;                                                                                   \
  }                                                                                                  \
  NOINLINE static void set_up(void) {                                                                \
    pthread_t thread;                                                                                \
    if (pthread_create(&thread, NULL, worker, NULL) != 0) abort();                                   \
    while (!holding_ready) sched_yield();                                                            \
  }                                                                                                  \
  TRUTH_MAIN(set_up)
