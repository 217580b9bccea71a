// SPDX-License-Identifier: Apache-2.0
//
// A few threads for one pass, the caller's among them.
#pragma once

#include <thread>
#include <vector>

namespace heapledger {

// Calls work(i) once for each i below `threads`, on a thread of its own each, work(0) on the caller's.
// Returns when all have returned.
template <typename Work>
void on_threads(unsigned threads, Work&& work) {
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i) others.emplace_back([&work, i] { work(i); });
  work(0u);
  for (std::thread& other : others) other.join();
}

}  // namespace heapledger
