// SPDX-License-Identifier: Apache-2.0
//
// A program that may lose its debugger at any moment and must not notice: threads allocate, fill, move
// and free blocks and look whether everything is still there. It interrupts itself once a round, so that
// a debugger stops it without a trap of its own; without a debugger its handler takes the signal.
//
//   killed_debugger GATE [MODULE]
//
// It goes round until somebody has written to GATE, a fifo. With MODULE it loads and unloads that library
// in each round.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { kThreads = 2, kBlocks = 64, kTurns = 3000 };

static void on_interrupt(int signal) {}

static void check(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "wrong: %s\n", what);
  abort();
}

static size_t size_of(unsigned turn) { return 8 + turn * 7 % 900; }

static void* work(void* argument) {
  unsigned char* blocks[kBlocks] = {0};
  size_t sizes[kBlocks] = {0};
  unsigned long sum = 0;
  for (unsigned turn = 0; turn < kTurns; ++turn) {
    const unsigned i = turn * 31 % kBlocks;
    for (size_t k = 0; k < sizes[i]; k += 97) check(blocks[i][k] == (i ^ 0x5a), "contents");
    if (blocks[i] && turn % 3 == 0) {
      blocks[i] = realloc(blocks[i], size_of(turn));
    } else {
      free(blocks[i]);
      blocks[i] = turn % 5 ? malloc(size_of(turn)) : calloc(size_of(turn), 1);
    }
    check(blocks[i] != NULL, "memory");
    sizes[i] = size_of(turn);
    memset(blocks[i], i ^ 0x5a, sizes[i]);
    sum += sizes[i];
  }
  for (unsigned i = 0; i < kBlocks; ++i) free(blocks[i]);
  *(unsigned long*)argument = sum;
  return NULL;
}

static unsigned long play_round(const char* module) {
  pthread_t threads[kThreads];
  unsigned long sums[kThreads], sum = 0;
  void* library = module ? dlopen(module, RTLD_NOW) : NULL;
  check(!module || library, "library");
  for (int i = 0; i < kThreads; ++i) {
    check(pthread_create(&threads[i], NULL, work, &sums[i]) == 0, "thread");
  }
  raise(SIGINT);
  for (int i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], NULL);
    sum += sums[i];
  }
  if (library) dlclose(library);
  return sum;
}

static int gate_is_open(int gate) {
  char byte;
  return read(gate, &byte, 1) == 1;
}

static void farewell(void) { puts("handlers ran"); }

int main(int argc, char** argv) {
  const int gate = open(argv[1], O_RDONLY | O_NONBLOCK);
  const char* module = argc > 2 ? argv[2] : NULL;
  const struct timespec pause = {.tv_nsec = 5000000};
  signal(SIGINT, on_interrupt);
  atexit(farewell);
  const unsigned long sum = play_round(module);
  do {
    check(play_round(module) == sum, "sum");
    nanosleep(&pause, NULL);
  } while (!gate_is_open(gate));
  printf("sum %lu\n", sum);
  return 7;
}
