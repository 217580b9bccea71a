// SPDX-License-Identifier: Apache-2.0
//
// Eight live blocks whose answer is known from Valgrind: a list of three kept by a global, a list of
// four lost, one block with only a pointer into it.
// 
//   definitely lost: 16 bytes in 1 blocks
//   indirectly lost: 48 bytes in 3 blocks
//     possibly lost: 64 bytes in 1 blocks
//   still reachable: 48 bytes in 3 blocks
#include "truth.h"

typedef struct Node {
  struct Node* volatile next;
  long number;
} Node;
Node* volatile kept;
char* volatile into;

NOINLINE static void set_up(void) {
  for (int i = 0; i < 3; ++i) {
    Node* node = truth_block(sizeof(Node), "reachable", "kept");
    node->next = kept;
    kept = node;
  }
  Node* lost = NULL;
  for (int i = 0; i < 4; ++i) {
    Node* node = truth_block(sizeof(Node), i == 3 ? "definitely" : "indirectly", "lost");
    node->next = lost;
    lost = node;
  }
  into = (char*)truth_block(64, "possibly", "interior") + 40;
}
TRUTH_MAIN(set_up)
