// SPDX-License-Identifier: Apache-2.0
//
// The workload "pair" of ARCHITECTURE.md: malloc and free from call stacks of random depth (7 to 19
// frames, 13 on average, from malloc's caller to _start), innermost frames that vary, 64 live blocks.
//
//   pair THREADS PAIRS             prints: ns per pair
//
// Plain: no tracking of its own, so that it can be run bare, in a debugger and under other tools.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <thread>
#include <vector>

namespace {

constexpr int kSlots = 64;

double now_ns() {
  timespec t;
  clock_gettime(std::getenv("PAIR_CPU_TIME") ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) * 1e9 + double(t.tv_nsec);
}

struct Random {
  std::uint64_t state;
  std::uint32_t next() {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return std::uint32_t(state >> 33);
  }
};

// Four leaves under one recursion: depth and innermost frames vary from call to call.
template <int Leaf>
__attribute__((noinline)) void* allocate(std::size_t size) {
  volatile char local[16 + 16 * Leaf];
  local[0] = char(size);
  void* p = std::malloc(size);
  asm volatile("" : : "r"(local[0]) : "memory");
  return p;
}
__attribute__((noinline)) void* descend(int depth, std::uint32_t leaf, std::size_t size) {
  void* p;
  if (depth > 0) {
    p = descend(depth - 1, leaf, size);
  } else {
    switch (leaf & 3) {
      case 0: p = allocate<0>(size); break;
      case 1: p = allocate<1>(size); break;
      case 2: p = allocate<2>(size); break;
      default: p = allocate<3>(size); break;
    }
  }
  asm volatile("" ::: "memory");
  return p;
}

void run(std::uint64_t seed, long pairs) {
  Random random{seed};
  void* live[kSlots] = {};
  for (long i = 0; i < pairs; ++i) {
    std::uint32_t r = random.next();
    void*& slot = live[r % kSlots];
    std::free(slot);
    slot = descend(int(r >> 8) % 13, r >> 6, 16 + r % 200);
  }
  for (void* p : live) std::free(p);
}

}  // namespace

int main(int argc, char** argv) {
  int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  long pairs = argc > 2 ? std::atol(argv[2]) : 5000000;
  run(7, pairs / 10 + 1);  // warm
  double begin = now_ns();
  std::vector<std::thread> others;
  for (int t = 1; t < threads; ++t) others.emplace_back(run, 100 + t, pairs);
  run(100, pairs);
  for (auto& t : others) t.join();
  std::printf("%.1f\n", (now_ns() - begin) / double(pairs));
  return 0;
}
