// SPDX-License-Identifier: Apache-2.0
//
// A block that is used again still has the links of malloc's list of free chunks in its first words.
// They name chunk headers, and a header lies in the last usable word of the block in front of it:
// such a word keeps nothing alive.
#include <stdlib.h>

#include "truth.h"

void* volatile kept;
void* volatile guards[2];

NOINLINE static void set_up(void) {
  truth_block(992, "definitely", "in_front_of_the_second");  // usable: 1000
  void* second = malloc(1100);  // too large for a thread's cache
  guards[0] = truth_block(24, "reachable", "guard");
  void* first = malloc(1100);
  guards[1] = truth_block(24, "reachable", "guard");
  truth(second, 1100, "freed", "second");
  free(first);
  free(second);  // first.bk == header of second
  kept = malloc(1100);
  if (kept != first) abort();
  if (((char**)kept)[1] != (char*)second - 16) abort();
  truth(kept, 1100, "reachable", "used_again");
}
TRUTH_MAIN(set_up)
