// SPDX-License-Identifier: Apache-2.0
//
// Lost cycles: one definite head each, the lowest address where nothing tells the members apart.
// A cycle with a tail that hangs off it, a cycle that a lost block points into, and a held one.
#include <stdlib.h>
#include <string.h>

#include "truth.h"

typedef struct Node {
  struct Node* volatile next;
  struct Node* volatile other;
  char payload[16];
} Node;
Node* volatile held;

NOINLINE static Node* unlabelled(void) {
  Node* made = malloc(sizeof(Node));
  if (made == NULL) abort();
  memset(made, 0, sizeof(Node));
  return made;
}

// Two members; the lower address is the head.
NOINLINE static Node* lost_pair(const char* head, const char* member) {
  Node* a = unlabelled();
  Node* b = unlabelled();
  a->next = b;
  b->next = a;
  Node* low = a < b ? a : b;
  truth(low, sizeof(Node), "definitely", head);
  truth(low->next, sizeof(Node), "indirectly", member);
  return low;
}

NOINLINE static void lost_triangle(void) {
  Node* nodes[3] = {unlabelled(), unlabelled(), unlabelled()};
  Node* low = nodes[0];
  for (int i = 0; i < 3; ++i) {
    nodes[i]->next = nodes[(i + 1) % 3];
    if (nodes[i] < low) low = nodes[i];
  }
  truth(low, sizeof(Node), "definitely", "triangle_head");
  truth(low->next, sizeof(Node), "indirectly", "triangle_second");
  truth(low->next->next, sizeof(Node), "indirectly", "triangle_third");
  low->next->other = truth_block(40, "indirectly", "triangle_tail");
  memset(nodes, 0, sizeof(nodes));
}

// The cycle itself has an owner, lost too: only the owner is a head.
NOINLINE static void owned_pair(void) {
  Node* owner = truth_block(sizeof(Node), "definitely", "owner");
  Node* a = truth_block(sizeof(Node), "indirectly", "owned_a");
  Node* b = truth_block(sizeof(Node), "indirectly", "owned_b");
  a->next = b;
  b->next = a;
  owner->next = a;
}

NOINLINE static void held_pair(void) {
  Node* a = truth_block(sizeof(Node), "reachable", "held_a");
  Node* b = truth_block(sizeof(Node), "reachable", "held_b");
  a->next = b;
  b->next = a;
  held = a;
}

NOINLINE static void set_up(void) {
  lost_pair("pair_head", "pair_member");
  lost_triangle();
  owned_pair();
  held_pair();
}
TRUTH_MAIN(set_up)
