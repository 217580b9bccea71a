// SPDX-License-Identifier: Apache-2.0
//
// Mapped segments: whole, partly unmapped at either end and in the middle, remapped, replaced, shared
// memory attached twice.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "truth.h"

enum { kPage = 4096 };

static char* map(size_t pages) {
  void* made = mmap(NULL, pages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (made == MAP_FAILED) abort();
  return made;
}
static void held(const char* start, size_t pages, const char* kind) {
  truth(start, pages * kPage, "held", kind);
}

static void whole(void) {
  held(map(3), 3, "mmap");
  char* gone = map(5);
  truth(gone, 5 * kPage, "freed", "mmap");
  munmap(gone, 5 * kPage);
  // 100 bytes are a page.
  char* short_one = mmap(NULL, 100, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  held(short_one, 1, "mmap");
  if (mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) abort();
}

// Kept apart by an unreadable page each, so that neighbours are not taken for one.
static void in_parts(void) {
  char* front = map(10);
  munmap(front, 4 * kPage);
  held(front + 4 * kPage, 6, "mmap");
  char* back = map(10);
  munmap(back + 7 * kPage, 3 * kPage);
  held(back, 7, "mmap");
  char* middle = map(10);
  munmap(middle + 3 * kPage, 2 * kPage);
  held(middle, 3, "mmap");
  held(middle + 5 * kPage, 5, "mmap");
}

// One munmap over two mappings.
static void across(void) {
  char* reserve = map(20);
  munmap(reserve, 20 * kPage);
  for (int i = 0; i < 2; ++i) {
    if (mmap(reserve + i * 10 * kPage, 10 * kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1, 0) == MAP_FAILED) {
      abort();
    }
  }
  munmap(reserve + 8 * kPage, 4 * kPage);
  held(reserve, 8, "mmap");
  held(reserve + 12 * kPage, 8, "mmap");
}

static void replaced(void) {
  char* old = map(6);
  char* fixed = mmap(old + 2 * kPage, 2 * kPage, PROT_READ,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  held(old, 2, "mmap");
  held(fixed, 2, "mmap");
  held(old + 4 * kPage, 2, "mmap");
}

static void remapped(void) {
  char* shrinks = map(8);
  held(mremap(shrinks, 8 * kPage, 3 * kPage, 0), 3, "mremap");
  char* grows = map(8);
  char* grown = mremap(grows, 8 * kPage, 4000 * kPage, MREMAP_MAYMOVE);
  held(grown, 4000, "mremap");
  if (grown != grows) truth(grows, 8 * kPage, "freed", "mmap");
  char* target = map(9);
  char* moves = map(4);
  truth(moves, 4 * kPage, "freed", "mmap");
  held(mremap(moves, 4 * kPage, 4 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, target), 4, "mremap");
  held(target + 4 * kPage, 5, "mmap");
  char* stays = map(2);
  if (mremap(stays, 2 * kPage, (size_t)1 << 60, MREMAP_MAYMOVE) != MAP_FAILED) abort();
  held(stays, 2, "mmap");
}

static void shared_memory(void) {
  int id = shmget(IPC_PRIVATE, 3 * kPage, IPC_CREAT | 0600);
  if (id < 0) abort();
  char* first = shmat(id, NULL, 0);
  char* second = shmat(id, NULL, SHM_RDONLY);
  shmctl(id, IPC_RMID, NULL);
  if (first == (void*)-1 || second == (void*)-1) abort();
  shmdt(second);
  truth(second, 3 * kPage, "freed", "shmat");
  held(first, 3, "shmat");
}

int main(void) {
  whole();
  in_parts();
  across();
  replaced();
  remapped();
  shared_memory();
  heapledger_stop_here();
  return 0;
}
