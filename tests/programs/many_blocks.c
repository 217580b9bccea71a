// SPDX-License-Identifier: Apache-2.0
//
// As many blocks of 48 bytes as its argument says, in one list; stops. For what takes a while.
#include <stdlib.h>

#include "truth.h"

static void** volatile head;

int main(int count, char** arguments) {
  long blocks = count > 1 ? atol(arguments[1]) : 1000;
  for (long i = 0; i < blocks; ++i) {
    void** block = malloc(48);
    if (block == NULL) abort();
    *block = head;
    head = block;
  }
  heapledger_stop_here();
  return head == NULL;
}
