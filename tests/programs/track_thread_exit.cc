// SPDX-License-Identifier: Apache-2.0
//
// Threads that come and go: blocks outlive the thread that made them, thread_local destructors free
// theirs, pthread_exit and cancellation unwind.
#include <pthread.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "truth.h"

namespace {

thread_local std::string name;

void* returns(void*) {
  name.assign(5000, 'x');
  truth(name.data(), 5001, "freed", "operator new");
  void* block = std::malloc(801);
  truth(block, 801, "held", "malloc");
  return nullptr;
}

void* exits(void*) {
  truth(std::malloc(802), 802, "held", "malloc");
  pthread_exit(nullptr);
}

void* is_cancelled(void*) {
  truth(std::malloc(803), 803, "held", "malloc");
  for (;;) pause();
}

void run(void* (*body)(void*), bool cancel) {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, body, nullptr) != 0) std::abort();
  if (cancel) pthread_cancel(thread);
  pthread_join(thread, nullptr);
}

}  // namespace

int main() {
  for (int i = 0; i < 50; ++i) {
    run(returns, false);
    run(exits, false);
  }
  run(is_cancelled, true);
  heapledger_stop_here();
  return 0;
}
