// SPDX-License-Identifier: Apache-2.0
//
// Its function, its variable and its thread have names to be written over in the file: a symbol may have any
// bytes. The one block is held by the variable.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "truth.h"

void* volatile forged_variable_name_of_some_length;

NOINLINE void forged_function_name_of_some_length(void) {
  forged_variable_name_of_some_length = malloc(100);
}

int main(void) {
  prctl(PR_SET_NAME, "\xff\x1b[31m\xc2\x9b");
  forged_function_name_of_some_length();
  truth_scrub();
  heapledger_stop_here();
  return 0;
}
