// SPDX-License-Identifier: Apache-2.0
//
// Two lost parents share a child, and a lost and a held one share another.
#include "truth.h"

typedef struct Parent {
  void* volatile child;
  char payload[40];
} Parent;
Parent* volatile held;

NOINLINE static void set_up(void) {
  void* child = truth_block(100, "indirectly", "child");
  ((Parent*)truth_block(sizeof(Parent), "definitely", "mother"))->child = child;
  ((Parent*)truth_block(sizeof(Parent), "definitely", "father"))->child = child;
  void* kept = truth_block(100, "reachable", "kept_child");
  ((Parent*)truth_block(sizeof(Parent), "definitely", "lost_parent"))->child = kept;
  held = truth_block(sizeof(Parent), "reachable", "held_parent");
  held->child = kept;
}
TRUTH_MAIN(set_up)
