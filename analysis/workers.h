// SPDX-License-Identifier: Apache-2.0
//
// A few threads for one pass, the caller's among them.
#pragma once

#include <pthread.h>

#include <csignal>
#include <thread>
#include <vector>

namespace heapledger {

// A debugger's signals (SIGCHLD, Ctrl-C) are for its own thread: those that are started meanwhile get
// none.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// Calls work(i) once for each i below `threads`, on a thread of its own each, work(0) on the caller's.
// Returns when all have returned.
template <typename Work>
void on_threads(unsigned threads, Work&& work) {
  std::vector<std::thread> others;
  {
    const SignalsBlocked blocked;
    for (unsigned i = 1; i < threads; ++i) others.emplace_back([&work, i] { work(i); });
  }
  work(0u);
  for (std::thread& other : others) other.join();
}

}  // namespace heapledger
