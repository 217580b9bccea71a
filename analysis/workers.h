// SPDX-License-Identifier: Apache-2.0
//
// A few threads for one pass, the caller's among them.
#pragma once

#include <pthread.h>

#include <csignal>
#include <exception>
#include <mutex>
#include <system_error>
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

// Calls work(i) once for each i below `threads`, on a thread of its own each, work(0) on the caller's;
// those for which there is no thread to be had (a limit of the machine's) come after it. Returns when all
// have returned. What one of them throws is thrown here: out of a thread it would end the debugger.
template <typename Work>
void on_threads(unsigned threads, Work&& work) {
  std::mutex mutex;
  std::exception_ptr thrown;
  const auto run = [&](unsigned i) {
    try {
      work(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!thrown) thrown = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  others.reserve(threads);
  unsigned next = 1;
  try {
    const SignalsBlocked blocked;
    for (; next < threads; ++next) others.emplace_back([&run, next] { run(next); });
  } catch (const std::exception&) {  // system_error, or no memory for it
  }
  run(0);
  for (; next < threads; ++next) run(next);
  for (std::thread& other : others) other.join();
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace heapledger
