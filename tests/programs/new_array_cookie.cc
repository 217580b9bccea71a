// SPDX-License-Identifier: Apache-2.0
//
// new T[n] of a type with a destructor: the program holds start + 8, behind the element count.
// Valgrind's newarray heuristic takes that for a start pointer.
#include "truth.h"

namespace {

struct Item {
  ~Item() { asm volatile("" ::: "memory"); }
  void* volatile child = nullptr;
  char payload[24] = {};
};
Item* volatile held;

NOINLINE void set_up() {
  Item* items = new Item[3];
  truth(reinterpret_cast<char*>(items) - 8, 8 + 3 * sizeof(Item), "reachable", "items");
  items[2].child = truth_block(56, "reachable", "child");
  held = items;
}

}  // namespace
TRUTH_MAIN(set_up)
