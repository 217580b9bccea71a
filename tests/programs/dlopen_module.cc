// SPDX-License-Identifier: Apache-2.0
//
// The libraries of track_dlopen.
#include <cstdlib>
#include <new>

extern "C" {
__attribute__((visibility("default"))) void* dlopen_module_block;
__attribute__((visibility("default"))) void* dlopen_module_allocate(std::size_t size) {
  void* block = ::operator new(size);
  asm volatile("" ::: "memory");
  return block;
}
}

namespace {
struct Lifetime {
  Lifetime() { dlopen_module_block = std::malloc(6543); }
  ~Lifetime() { std::free(dlopen_module_block); }
} lifetime;
}  // namespace
