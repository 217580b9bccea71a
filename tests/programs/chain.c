// SPDX-License-Identifier: Apache-2.0
//
// A lost list a -> b -> c: the head is definitely lost, the rest indirectly. And the same list,
// held by a global.
#include "truth.h"

typedef struct Node {
  struct Node* volatile next;
  char payload[24];
} Node;
Node* volatile held;

NOINLINE static Node* node(const char* what, const char* name, Node* next) {
  Node* made = truth_block(sizeof(Node), what, name);
  made->next = next;
  return made;
}

NOINLINE static void set_up(void) {
  Node* c = node("indirectly", "c", NULL);
  Node* b = node("indirectly", "b", c);
  node("definitely", "a", b);
  held = node("reachable", "held_a",
              node("reachable", "held_b", node("reachable", "held_c", NULL)));
}
TRUTH_MAIN(set_up)
