// SPDX-License-Identifier: Apache-2.0
//
// Allocations before main: constructors of a shared library, of the program, an init_array entry,
// and after it an atexit handler's.
#include <cstdlib>

#include "truth.h"

extern "C" void* constructors_module_block;  // malloc(4321) of the library's constructor

namespace {

struct Early {
  Early() : block(std::malloc(1234)) { truth(block, 1234, "held", "malloc"); }
  void* block;
} early;

int* const from_new = new int[33];

void* in_array;
__attribute__((constructor)) void first_of_all() { in_array = std::calloc(5, 67); }

void at_exit() {
  void* block = std::malloc(777);
  truth(block, 777, "held", "malloc");
  heapledger_stop_here();
}

}  // namespace

int main() {
  truth(constructors_module_block, 4321, "held", "malloc");
  truth(from_new, 33 * sizeof(int), "held", "operator new[]");
  truth(in_array, 335, "held", "calloc");
  std::atexit(at_exit);
  heapledger_stop_here();
  return 0;
}
