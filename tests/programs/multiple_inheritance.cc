// SPDX-License-Identifier: Apache-2.0
//
// An object held only through its second base class: Valgrind's multipleinheritance heuristic.
#include <new>

#include "truth.h"

namespace {

struct Readable {
  virtual ~Readable() = default;
  virtual int read() { return 1; }
  long position = 0;
};
struct Writable {
  virtual ~Writable() = default;
  virtual int write() { return 2; }
  long limit = 0;
};
struct File : Readable, Writable {
  int read() override { return 3; }
  int write() override { return 4; }
  char name[40] = {};
};
Writable* volatile held;

NOINLINE void set_up() {
  File* file = new File;
  truth(file, sizeof(File), "reachable", "file");
  held = file;
}

}  // namespace
TRUTH_MAIN(set_up)
