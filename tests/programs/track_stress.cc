// SPDX-License-Identifier: Apache-2.0
//
// Many threads that allocate in every way, grow, hand blocks to each other and free what others made.
// At the end all join and the program says what is left.
//
//   track_stress SEED THREADS STEPS [STOPS]   STOPS: how often thread 0 calls heapledger_stop_here()
//                                             on the way, with nothing written down
#include <array>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <thread>
#include <vector>

#include "truth.h"

namespace {

struct Held {
  void* block = nullptr;
  std::size_t size = 0;
  const char* kind = nullptr;
};

// A place where one thread leaves a block and another takes it. The record travels with it.
constexpr std::size_t kExchange = 256;
std::array<std::atomic<Held*>, kExchange> exchange;

std::size_t random_size(std::mt19937_64& random) {
  switch (random() % 16) {
    case 0: return 0;
    case 1: return 1 + random() % 300000;
    case 2: return 1 + random() % 20000;
    default: return 1 + random() % 600;
  }
}

Held allocate(std::mt19937_64& random) {
  const std::size_t size = random_size(random);
  void* out = nullptr;
  switch (random() % 8) {
    case 0: return {std::calloc(1, size), size, "calloc"};
    case 1: return {::operator new(size), size, "operator new"};
    case 2: return {::operator new[](size), size, "operator new[]"};
    case 3:
      if (::posix_memalign(&out, 16u << random() % 9, size) != 0) std::abort();
      return {out, size, "posix_memalign"};
    default: return {std::malloc(size), size, "malloc"};
  }
}

void release(const Held& held) {
  if (std::strcmp(held.kind, "operator new") == 0) {
    ::operator delete(held.block);
  } else if (std::strcmp(held.kind, "operator new[]") == 0) {
    ::operator delete[](held.block);
  } else {
    std::free(held.block);
  }
}

void grow(Held& held, std::mt19937_64& random) {
  if (held.kind[0] == 'o') return;  // operator new's blocks are not for realloc
  const std::size_t size = 1 + random_size(random);
  held = {std::realloc(held.block, size), size, "realloc"};
}

// Depth and shape of the stack vary.
NOINLINE Held allocate_below(int depth, std::mt19937_64& random) {
  volatile char frame[64];
  frame[0] = char(depth);
  Held held = depth == 0 ? allocate(random) : allocate_below(depth - 1, random);
  frame[1] = 0;
  return held;
}

void work(std::uint64_t seed, int steps, int stops, std::vector<Held>& mine) {
  std::mt19937_64 random(seed);
  mine.reserve(4096);
  for (int step = 0; step < steps; ++step) {
    if (stops > 0 && step % (steps / (stops + 1) + 1) == steps / (stops + 1)) heapledger_stop_here();
    const unsigned action = random() % 100;
    if (mine.empty() || action < 40) {
      if (mine.size() < 4000) mine.push_back(allocate_below(int(random() % 20), random));
      continue;
    }
    Held& picked = mine[random() % mine.size()];
    if (action < 55) {
      grow(picked, random);
    } else if (action < 75) {
      auto* record = static_cast<Held*>(std::malloc(sizeof(Held)));
      *record = picked;
      picked = mine.back();
      mine.pop_back();
      Held* other = exchange[random() % kExchange].exchange(record);
      if (other != nullptr) {
        mine.push_back(*other);
        std::free(other);
      }
    } else {
      release(picked);
      picked = mine.back();
      mine.pop_back();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const auto seed = std::strtoull(argv[1], nullptr, 10);
  const int threads = std::atoi(argv[2]);
  const int steps = std::atoi(argv[3]);
  const int stops = argc > 4 ? std::atoi(argv[4]) : 0;
  std::vector<std::vector<Held>> held(threads);
  {
    // No thread ends before the last stop: one that ends gives its cached chunks back one by one, and
    // in between they are neither used nor in any list a walk could find.
    std::barrier all_done(threads);
    std::vector<std::thread> running;
    for (int i = 0; i < threads; ++i) {
      running.emplace_back([&, i] {
        work(seed * 1000 + i, steps, i == 0 ? stops : 0, held[i]);
        all_done.arrive_and_wait();
      });
    }
    for (std::thread& thread : running) thread.join();
  }
  for (const auto& list : held) {
    for (const Held& one : list) truth(one.block, one.size, "held", one.kind);
  }
  for (auto& place : exchange) {
    if (Held* record = place.load()) {
      truth(record->block, record->size, "held", record->kind);
      truth(record, sizeof(Held), "held", "malloc");
    }
  }
  truth(nullptr, 0, "end", "end");
  heapledger_stop_here();
  return 0;
}
