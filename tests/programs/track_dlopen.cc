// SPDX-License-Identifier: Apache-2.0
//
// Libraries that come by dlopen allocate in their constructors and later; one is closed and frees what
// it had in its destructor.
#include <dlfcn.h>

#include <cstdlib>

#include "truth.h"

namespace {

using Allocate = void*(std::size_t);

void* open_module(const char* path) {
  void* library = dlopen(path, RTLD_NOW);
  if (library == nullptr) std::abort();
  return library;
}

void keep_what_it_gives(void* library, std::size_t size) {
  auto* allocate = reinterpret_cast<Allocate*>(dlsym(library, "dlopen_module_allocate"));
  truth(allocate(size), size, "held", "operator new");
  truth(*static_cast<void**>(dlsym(library, "dlopen_module_block")), 6543, "held", "malloc");
}

}  // namespace

int main() {
  void* kept = open_module(MODULE_FOLDER "/dlopen_module_a.so");
  keep_what_it_gives(kept, 505);
  void* closed = open_module(MODULE_FOLDER "/dlopen_module_b.so");
  void* its_block = *static_cast<void**>(dlsym(closed, "dlopen_module_block"));
  truth(its_block, 6543, "freed", "malloc");
  dlclose(closed);
  heapledger_stop_here();
  return 0;
}
