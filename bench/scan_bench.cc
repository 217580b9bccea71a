// SPDX-License-Identifier: Apache-2.0
//
// The scan of another process: time per graph and thread count, memory the analysis takes, and the
// rate of the memory stream beside plain process_vm_readv.
//
//   scan_bench [--benchmark_filter=...]
//
// The inferior is a fork that holds a graph of blocks like malloc's: 64 bytes each, 80 apart (glibc's
// chunks of 64 requested bytes), placed in the order they were made.
//   list    one list through all of them, in the order of the addresses
//   tree    a binary tree, children anywhere: every step of the mark is a cache miss
//   random  two pointers each to anywhere
//   lost    as random, and no root
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <random>
#include <string>

#include "analysis/analysis.h"
#include "inferior/local_memory.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kStride = 80;
constexpr std::uint64_t kSize = 64;

// A fork that holds what `fill` wrote into `bytes` of memory, stopped.
class Inferior {
 public:
  Inferior(std::uint64_t bytes, const std::function<void(std::uint64_t*)>& fill) {
    void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) std::abort();
    begin_ = reinterpret_cast<Address>(at);
    pid_ = fork();
    if (pid_ == 0) {
      fill(static_cast<std::uint64_t*>(at));
      raise(SIGSTOP);
      _exit(0);
    }
    int status = 0;
    waitpid(pid_, &status, WUNTRACED);
    munmap(at, bytes);
  }
  ~Inferior() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Address begin() const { return begin_; }
  std::uint64_t pid() const { return static_cast<std::uint64_t>(pid_); }

 private:
  Address begin_ = 0;
  pid_t pid_ = -1;
};

enum Shape { list, tree, random_graph, lost };

void draw(std::uint64_t* words, std::uint64_t blocks, Shape shape) {
  const auto base = reinterpret_cast<Address>(words);
  const auto address = [&](std::uint64_t i) { return base + 4096 + i * kStride; };
  const auto block = [&](std::uint64_t i) { return words + 512 + i * kStride / 8; };
  std::mt19937_64 random(1);
  if (shape != lost) words[0] = address(0);
  std::vector<std::uint32_t> order;
  if (shape == tree) {
    order.resize(blocks);
    for (std::uint32_t i = 0; i < blocks; ++i) order[i] = i;
    for (std::uint64_t i = blocks - 1; i > 1; --i) std::swap(order[i], order[1 + random() % i]);
  }
  for (std::uint64_t i = 0; i < blocks; ++i) {
    for (std::uint64_t w = 2; w < kSize / 8; ++w) block(i)[w] = random() & 0xffffffff;
  }
  for (std::uint64_t i = 0; i < blocks; ++i) {
    switch (shape) {
      case list:
        if (i + 1 < blocks) block(i)[0] = address(i + 1);
        break;
      case tree:
        if (2 * i + 1 < blocks) block(order[i])[0] = address(order[2 * i + 1]);
        if (2 * i + 2 < blocks) block(order[i])[1] = address(order[2 * i + 2]);
        break;
      case random_graph:
      case lost:
        block(i)[0] = address(random() % blocks);
        block(i)[1] = address(random() % blocks);
        break;
    }
  }
}

double resident_megabytes() {
  std::ifstream statm("/proc/self/statm");
  double size = 0, resident = 0;
  statm >> size >> resident;
  return resident * 4096 / 1e6;
}
double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;
}

void scan_blocks(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0)) * 1000000;
  const auto shape = static_cast<Shape>(state.range(1));
  const std::uint64_t bytes = 4096 + count * kStride;
  const Inferior inferior(bytes, [&](std::uint64_t* words) { draw(words, count, shape); });
  const LocalMemory memory(inferior.pid());
  double taken = 0;
  for (auto _ : state) {
    state.PauseTiming();
    ScanInput input{memory, {}, {}, {}, {}, {}, {}};
    input.blocks.reserve(count);
    const double before = resident_megabytes();
    for (std::uint64_t i = 0; i < count; ++i) {
      input.blocks.push_back({inferior.begin() + 4096 + i * kStride, kSize});
    }
    Root root;
    root.kind = RootKind::global;
    root.range = {inferior.begin(), inferior.begin() + 4096};
    input.roots.roots.push_back(root);
    state.ResumeTiming();
    const auto result = scan(std::move(input), {.threads = static_cast<unsigned>(state.range(2))});
    state.PauseTiming();
    if (!result || result->blocks().size() != count) state.SkipWithError("no result");
    const bool all_lost = result->summary()[Verdict::still_reachable].blocks == 0;
    if (all_lost != (shape == lost)) state.SkipWithError("wrong result");
    taken = resident_megabytes() - before;
    state.ResumeTiming();
  }
  state.counters["kept_MB"] = taken;
  state.counters["peak_MB"] = peak_megabytes();
  state.counters["bytes_per_block"] = taken * 1e6 / static_cast<double>(count);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
}
BENCHMARK(scan_blocks)
    ->ArgNames({"Mblocks", "shape", "threads"})
    ->ArgsProduct({{1, 10}, {list, tree, random_graph, lost}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(3);

// Megabyte blocks without pointers: what the stream itself costs.
constexpr std::uint64_t kStreamBytes = std::uint64_t{2} << 30;

void fill_numbers(std::uint64_t* words) {
  for (std::uint64_t i = 0; i < kStreamBytes / 8; ++i) words[i] = i * 0x9e3779b97f4a7c15ull >> 20;
}

void stream_scan(benchmark::State& state) {
  const Inferior inferior(kStreamBytes, fill_numbers);
  const LocalMemory memory(inferior.pid());
  for (auto _ : state) {
    ScanInput input{memory, {}, {}, {}, {}, {}, {}};
    for (Address a = 0; a < kStreamBytes; a += 1 << 20) {
      input.blocks.push_back({inferior.begin() + a, (1 << 20) - 16});
    }
    benchmark::DoNotOptimize(scan(std::move(input), {.threads = static_cast<unsigned>(state.range(0))}));
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kStreamBytes));
}
BENCHMARK(stream_scan)->ArgName("threads")->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

void process_vm_readv_alone(benchmark::State& state) {
  const Inferior inferior(kStreamBytes, fill_numbers);
  const LocalMemory memory(inferior.pid());
  std::vector<std::byte> buffer(1 << 20);
  for (auto _ : state) {
    for (Address a = 0; a < kStreamBytes; a += buffer.size()) {
      memory.read_up_to(inferior.begin() + a, buffer);
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kStreamBytes));
}
BENCHMARK(process_vm_readv_alone)->Unit(benchmark::kMillisecond)->UseRealTime();

void block_holders(benchmark::State& state) {
  constexpr std::uint64_t kCount = 10000000;
  const Inferior inferior(4096 + kCount * kStride,
                          [&](std::uint64_t* words) { draw(words, kCount, random_graph); });
  const LocalMemory memory(inferior.pid());
  ScanInput input{memory, {}, {}, {}, {}, {}, {}};
  for (std::uint64_t i = 0; i < kCount; ++i) {
    input.blocks.push_back({inferior.begin() + 4096 + i * kStride, kSize});
  }
  Root root;
  root.range = {inferior.begin(), inferior.begin() + 4096};
  input.roots.roots.push_back(root);
  const auto scan = heapledger::scan(std::move(input));
  BlockIndexNumber block = 0;
  for (auto _ : state) {
    block = static_cast<BlockIndexNumber>((block + 7919) % kCount);
    benchmark::DoNotOptimize(scan->block_holders(block));
    benchmark::DoNotOptimize(scan->chain(block));
  }
}
BENCHMARK(block_holders)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace heapledger

BENCHMARK_MAIN();
