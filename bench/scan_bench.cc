// SPDX-License-Identifier: Apache-2.0
//
// The scan of another process: time per graph and thread count, memory the analysis takes, and the
// rate of the memory stream beside plain process_vm_readv.
//
//   scan_bench [--benchmark_filter=...]
//
// The inferior is a fork that holds a graph (bench/graph.h) of blocks that lie like malloc's: 80 bytes
// apart (glibc's chunks of 64 requested bytes), in the order they were made.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <string>

#include "analysis/analysis.h"
#include "bench/graph.h"
#include "inferior/local_memory.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kStride = 80;

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

void draw_blocks(std::uint64_t* words, std::uint64_t blocks, Shape shape) {
  draw(words, blocks, shape, [words](std::uint64_t i) { return words + 512 + i * kStride / 8; });
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
  const Inferior inferior(bytes, [&](std::uint64_t* words) { draw_blocks(words, count, shape); });
  const LocalMemory memory(inferior.pid());
  double taken = 0;
  for (auto _ : state) {
    state.PauseTiming();
    ScanInput input{memory, {}, {}, {}, {}, {}, {}};
    input.blocks.reserve(count);
    const double before = resident_megabytes();
    for (std::uint64_t i = 0; i < count; ++i) {
      input.blocks.push_back({inferior.begin() + 4096 + i * kStride, kGraphBlockSize});
    }
    Root root;
    root.kind = RootKind::global;
    root.range = {inferior.begin(), inferior.begin() + 4096};
    input.roots.roots.push_back(root);
    state.ResumeTiming();
    const auto result = scan(std::move(input), {.threads = static_cast<unsigned>(state.range(2))});
    state.PauseTiming();
    if (!result || result->blocks().size() != count) state.SkipWithError("no result");
    const bool none_reached = result->summary()[Verdict::still_reachable].blocks == 0;
    if (none_reached != all_lost(shape)) state.SkipWithError("wrong result");
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
    ->ArgsProduct({{1, 10}, {list, tree, random_graph, lost, knot}, {1, 2}})
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
                          [&](std::uint64_t* words) { draw_blocks(words, kCount, random_graph); });
  const LocalMemory memory(inferior.pid());
  ScanInput input{memory, {}, {}, {}, {}, {}, {}};
  for (std::uint64_t i = 0; i < kCount; ++i) {
    input.blocks.push_back({inferior.begin() + 4096 + i * kStride, kGraphBlockSize});
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
