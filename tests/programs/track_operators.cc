// SPDX-License-Identifier: Apache-2.0
//
// Every form of operator new and delete. Nested calls count once, with the outermost kind; a new that
// throws leaves nothing, and its exception passes.
#include <cstdint>
#include <cstdlib>
#include <new>

#include "truth.h"

namespace {

struct alignas(256) Wide {
  char bytes[512];
};

void keep(void* block, std::size_t size, const char* kind) {
  if (block == nullptr) std::abort();
  truth(block, size, "held", kind);
}

void allocate_each() {
  const auto align = std::align_val_t(256);
  keep(::operator new(100), 100, "operator new");
  keep(::operator new(0), 0, "operator new");
  keep(::operator new(101, std::nothrow), 101, "operator new");
  keep(::operator new(512, align), 512, "operator new");
  keep(::operator new(513, align, std::nothrow), 513, "operator new");
  keep(::operator new[](102), 102, "operator new[]");
  keep(::operator new[](103, std::nothrow), 103, "operator new[]");
  keep(::operator new[](514, align), 514, "operator new[]");
  keep(::operator new[](515, align, std::nothrow), 515, "operator new[]");
  keep(new Wide, sizeof(Wide), "operator new");
  keep(new Wide[3], 3 * sizeof(Wide), "operator new[]");
}

// Sizes that no one else uses: a freed address must not be taken again by a later block.
void release_each() {
  const auto align = std::align_val_t(256);
  auto gone = [](void* block, std::size_t size) {
    truth(block, size, "freed", "operator new");
    return block;
  };
  void* plain[8];
  for (int i = 0; i < 8; ++i) plain[i] = gone(::operator new(700), 700);
  ::operator delete(plain[0]);
  ::operator delete(plain[1], std::size_t(700));
  ::operator delete(plain[2], std::nothrow);
  ::operator delete[](plain[3]);
  ::operator delete[](plain[4], std::size_t(700));
  ::operator delete[](plain[5], std::nothrow);
  ::operator delete(plain[6]);
  ::operator delete(plain[7]);
  void* aligned[6];
  for (int i = 0; i < 6; ++i) aligned[i] = gone(::operator new(900, align), 900);
  ::operator delete(aligned[0], align);
  ::operator delete(aligned[1], std::size_t(900), align);
  ::operator delete(aligned[2], align, std::nothrow);
  ::operator delete[](aligned[3], align);
  ::operator delete[](aligned[4], std::size_t(900), align);
  ::operator delete[](aligned[5], align, std::nothrow);
  ::operator delete(static_cast<void*>(nullptr));
}

void fail_each() {
  volatile std::size_t huge = SIZE_MAX / 2;
  int caught = 0;
  try {
    keep(::operator new(huge), 0, "never");
  } catch (const std::bad_alloc&) {
    ++caught;
  }
  try {
    keep(::operator new[](huge), 0, "never");
  } catch (const std::bad_alloc&) {
    ++caught;
  }
  try {
    keep(::operator new(huge, std::align_val_t(64)), 0, "never");
  } catch (const std::bad_alloc&) {
    ++caught;
  }
  if (caught != 3 || ::operator new(huge, std::nothrow) != nullptr) std::abort();
  // What comes after a failed new is of its own kind.
  keep(std::malloc(77), 77, "malloc");
}

struct Throws {
  Throws() { throw 1; }
  char bytes[1234];
};

void constructor_throws() {
  try {
    new Throws;
  } catch (int) {
  }
}

}  // namespace

int main() {
  release_each();
  allocate_each();
  fail_each();
  constructor_throws();
  heapledger_stop_here();
  return 0;
}
