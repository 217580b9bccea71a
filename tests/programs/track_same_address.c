// SPDX-License-Identifier: Apache-2.0
//
// Two different libraries loaded one after the other at the same address, each allocating at the same
// offset: each block's stack must name the function of its own library. The truth file's NAME is that
// function. Exit status 3: the loader did not reuse the address.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>

#include "truth.h"

typedef void* allocate_function(size_t);

// Returns the library's base address.
NOINLINE static unsigned long allocate_in(const char* path, const char* function, size_t size,
                                          int keep_open) {
  void* library = dlopen(path, RTLD_NOW);
  if (library == NULL) abort();
  struct link_map* map = NULL;
  dlinfo(library, RTLD_DI_LINKMAP, &map);
  unsigned long base = map->l_addr;
  void* block = ((allocate_function*)dlsym(library, function))(size);
  truth(block, size, "held", function);
  if (!keep_open) dlclose(library);
  return base;
}

int main(void) {
  const char* first = MODULE_FOLDER "/swap_module_first.so";
  const char* second = MODULE_FOLDER "/swap_module_second.so";
  unsigned long base = allocate_in(first, "first_allocates", 1001, 0);
  if (allocate_in(second, "second_allocates", 1002, 0) != base) return 3;
  if (allocate_in(first, "first_allocates", 1003, 0) != base) return 3;
  if (allocate_in(second, "second_allocates", 1004, 1) != base) return 3;
  heapledger_stop_here();
  return 0;
}
