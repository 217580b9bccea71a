// SPDX-License-Identifier: Apache-2.0
//
// A block held only by the data of a library that was closed is lost; one whose holder's library is
// still open is not.
#include <dlfcn.h>
#include <stdlib.h>

#include "truth.h"

typedef void keep_function(void*);

NOINLINE static void* fill(const char* path, const char* what, const char* name) {
  void* library = dlopen(path, RTLD_NOW);
  if (library == NULL) abort();
  ((keep_function*)dlsym(library, "data_module_keep"))(truth_block(64, what, name));
  return library;
}

NOINLINE static void set_up(void) {
  dlclose(fill(MODULE_FOLDER "/data_module_a.so", "definitely", "in_closed"));
  fill(MODULE_FOLDER "/data_module_b.so", "reachable", "in_open");
}
TRUTH_MAIN(set_up)
