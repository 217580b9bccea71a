// SPDX-License-Identifier: Apache-2.0
//
// A lost binary tree: only its root is definitely lost.
#include "truth.h"

typedef struct Tree {
  char key[16];
  struct Tree* volatile left;
  struct Tree* volatile right;
} Tree;

NOINLINE static Tree* tree(int height, const char* what) {
  if (height == 0) return NULL;
  Tree* made = truth_block(sizeof(Tree), what, "node");
  made->left = tree(height - 1, "indirectly");
  made->right = tree(height - 1, "indirectly");
  return made;
}

NOINLINE static void set_up(void) { tree(5, "definitely"); }
TRUTH_MAIN(set_up)
