// SPDX-License-Identifier: Apache-2.0
//
// LeakSanitizer's own scan of the graphs that scan_bench scans, made of its own malloc's blocks: for
// bench/compare_scan, which runs the two in turn.
//
//   lsan_graph SHAPE BLOCKS         prints: seconds of one __lsan_do_recoverable_leak_check()
#include <sanitizer/lsan_interface.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "bench/graph.h"

namespace {

std::uint64_t root;

// Where the blocks are must be known nowhere when the check begins: the table has a mapping of its own.
void make(std::uint64_t blocks, heapledger::Shape shape) {
  const std::size_t bytes = blocks * sizeof(void*);
  void* const table = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (table == MAP_FAILED) std::abort();
  auto** const at = static_cast<std::uint64_t**>(table);
  for (std::uint64_t i = 0; i < blocks; ++i) {
    at[i] = static_cast<std::uint64_t*>(std::malloc(heapledger::kGraphBlockSize));
  }
  heapledger::draw(&root, blocks, shape, [at](std::uint64_t i) { return at[i]; });
  munmap(table, bytes);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto shape = static_cast<heapledger::Shape>(std::atoi(argv[1]));
  make(std::strtoull(argv[2], nullptr, 0), shape);
  const auto begin = std::chrono::steady_clock::now();
  const bool leaks = __lsan_do_recoverable_leak_check() != 0;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const bool some_lost = shape == heapledger::random_graph || heapledger::all_lost(shape);
  if (leaks != some_lost) return 3;
  std::printf("%.4f\n", took.count());
}
