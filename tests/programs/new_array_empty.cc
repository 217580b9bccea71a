// SPDX-License-Identifier: Apache-2.0
//
// new T[0] of a type with a destructor: the block is the element count alone, and the program holds
// its end.
#include "truth.h"

namespace {

struct Item {
  ~Item() { asm volatile("" ::: "memory"); }
  char payload[24];
};
Item* volatile held;
volatile int none = 0;

NOINLINE void set_up() {
  Item* items = new Item[none];
  truth(reinterpret_cast<char*>(items) - 8, 8, "reachable", "items");
  held = items;
}

}  // namespace
TRUTH_MAIN(set_up)
