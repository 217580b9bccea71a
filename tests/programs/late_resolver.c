// SPDX-License-Identifier: Apache-2.0
//
// A library that comes by dlopen, with a valloc that is chosen at run time. Its resolver calls and reads what the
// loader has to relocate first, which is after the debugger has been told of the library.
#include <stdlib.h>

#ifdef LIBRARY

static void* large(size_t size) { return aligned_alloc(4096, size); }
static void* (*volatile choices[])(size_t) = {large};
static void* (*choose_valloc(void))(size_t) { return choices[getenv("PATH") == NULL ? 0 : 0]; }
void* valloc(size_t size) __attribute__((ifunc("choose_valloc")));

#else

#include <dlfcn.h>

#include "truth.h"

int main(void) {
  void* library = dlopen(MODULE_FOLDER "/late_resolver.so", RTLD_NOW);
  if (library == NULL) return 1;
  void* (*allocate)(size_t) = (void* (*)(size_t))dlsym(library, "valloc");
  heapledger_stop_here();
  for (size_t size = 3000; size < 3010; ++size) truth(allocate(size), size, "held", "valloc");
  heapledger_stop_here();
  return 0;
}

#endif
