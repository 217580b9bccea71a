// SPDX-License-Identifier: Apache-2.0
//
// Thread-local variables whose names are told: one of the program, in a namespace, and one of a library
// that came by dlopen, whose storage the main thread reaches through its dtv. The blocks' addresses are
// known to a debugger only encoded.
#include <dlfcn.h>

#include <cstdlib>

#include "truth.h"

namespace app {
thread_local void* volatile slot;
}

unsigned long hidden_in_program;
unsigned long hidden_in_library;

NOINLINE static void set_up() {
  using Keep = void(void*);
  void* library = dlopen(MODULE_FOLDER "/tls_module.so", RTLD_NOW);
  if (library == nullptr) abort();
  app::slot = truth_block(64, "reachable", "in_program");
  hidden_in_program = reinterpret_cast<unsigned long>(app::slot) ^ 0x5555;
  void* block = truth_block(80, "reachable", "in_library");
  reinterpret_cast<Keep*>(dlsym(library, "tls_module_keep"))(block);
  hidden_in_library = reinterpret_cast<unsigned long>(block) ^ 0x5555;
}
TRUTH_MAIN(set_up)
