// SPDX-License-Identifier: Apache-2.0
//
// A little of everything that a report can say, the same in every run: a list in a global, a lost
// chain, a lost cycle, a block that only an interior pointer holds, a mapping.
#include <stdlib.h>
#include <sys/mman.h>

#include "truth.h"

struct node {
  struct node* next;
  char payload[40];
};

struct node* head;
char* interior;
void* mapping;

NOINLINE static struct node* make(struct node* next) {
  struct node* node = calloc(1, sizeof *node);
  if (node == NULL) abort();
  node->next = next;
  return node;
}

NOINLINE static void lose_chain(void) { make(make(make(NULL))); }

NOINLINE static void lose_cycle(void) {
  struct node* first = make(NULL);
  first->next = make(first);
}

NOINLINE static void hold(void) {
  for (int i = 0; i < 3; ++i) head = make(head);
  interior = (char*)malloc(2000) + 100;
  mapping = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int main(void) {
  hold();
  lose_chain();
  lose_cycle();
  truth_scrub();
  heapledger_stop_here();
  return head == NULL || interior == NULL || mapping == NULL;
}
