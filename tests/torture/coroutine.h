// SPDX-License-Identifier: Apache-2.0
//
// Coroutines on stacks of 8 KiB with a hole below, resumed by whichever thread comes by. Each holds a
// block that it made on its own stack while it is suspended.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <array>
#include <atomic>

#include "tests/torture/blocks.h"

namespace torture {

class Coroutine {
 public:
  explicit Coroutine(std::uint64_t seed) : random_(seed) {
    auto* memory = static_cast<char*>(::mmap(nullptr, kHole + kStack, PROT_NONE,
                                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    must(memory != MAP_FAILED && ::mprotect(memory + kHole, kStack, PROT_READ | PROT_WRITE) == 0,
         "no stack for a coroutine");
    ::getcontext(&own_);
    own_.uc_stack.ss_sp = memory + kHole;
    own_.uc_stack.ss_size = kStack;
    own_.uc_link = nullptr;
    sigaddset(&own_.uc_sigmask, SIGUSR1);  // its handler's frame is larger than this stack
    const auto self = reinterpret_cast<std::uintptr_t>(this);
    ::makecontext(&own_, reinterpret_cast<void (*)()>(run), 2, unsigned(self), unsigned(self >> 32));
  }

  void resume() { must(::swapcontext(&resumer_, &own_) == 0, "swapcontext failed"); }
  const Block& held() const { return held_; }

 private:
  static constexpr std::size_t kHole = 4096, kStack = 8192;

  static void run(unsigned low, unsigned high) {
    reinterpret_cast<Coroutine*>(std::uintptr_t(low) | std::uintptr_t(high) << 32)->work();
  }
  void yield() { must(::swapcontext(&own_, &resumer_) == 0, "swapcontext failed"); }

  void work() {
    for (;;) {
      held_ = allocate(random_);
      yield();
      resize(held_, random_);
      yield();
      release(held_);
      held_ = {};
    }
  }

  ucontext_t own_{}, resumer_{};
  Random random_;
  Block held_;
};

// Whoever takes one out of its place has it alone.
class CoroutinePool {
 public:
  explicit CoroutinePool(std::uint64_t seed) {
    for (auto& place : places_) place = new Coroutine(seed++);
  }
  void resume_one(Random& random) {
    auto& place = places_[random() % places_.size()];
    if (Coroutine* one = place.exchange(nullptr)) {
      one->resume();
      place = one;
    }
  }
  template <typename F>
  void for_each_held(F&& f) const {  // nobody runs
    for (const auto& place : places_) {
      if (place.load()->held().at != nullptr) f(place.load()->held());
    }
  }

 private:
  std::array<std::atomic<Coroutine*>, 16> places_;
};

}  // namespace torture
