// SPDX-License-Identifier: Apache-2.0
//
// A library that allocates while it is loaded and unloaded, and keeps a little until then.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#ifndef NUMBER
#define NUMBER 0
#endif

namespace {

struct Loaded {
  std::vector<std::string> names;
  void* block = nullptr;
  Loaded() {
    for (int i = 0; i < 20 + NUMBER; ++i) names.push_back(std::string(40 + i, char('a' + i % 26)));
    block = std::malloc(1000 + NUMBER);
    std::memset(block, NUMBER, 1000 + NUMBER);
  }
  ~Loaded() { std::free(block); }
};
Loaded loaded;
thread_local std::string own;  // dynamic TLS: its block is made at the first use

}  // namespace

extern "C" __attribute__((visibility("default"))) void* module_allocates(std::size_t size) {
  own.assign(100 + NUMBER, 'x');
  void* block = std::malloc(size);
  if (block != nullptr) std::memset(block, 0x40 + NUMBER, size);
  return block;
}

extern "C" __attribute__((visibility("default"))) bool module_holds() {
  for (std::size_t i = 0; i < loaded.names.size(); ++i) {
    if (loaded.names[i].size() != 40 + i || loaded.names[i][0] != char('a' + i % 26)) return false;
  }
  return loaded.names.size() == 20 + NUMBER;
}
