// SPDX-License-Identifier: Apache-2.0
//
// A cold look at a process that nobody tracked: glibc's heap walked, its blocks given shapes, scanned.
//
//   attach_bench [--benchmark_filter=...]
//
// The inferior is a fork that has made a tree out of 10 million blocks of 24 to 104 usable bytes with
// malloc, has freed and made anew a tenth of them, and stands still. Each part is a benchmark of its
// own; `cold` is all of it, in the order a first `leaks` does it. peak_bytes: what the analysis took.
#include <benchmark/benchmark.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <random>

#include "analysis/block_shapes.h"
#include "analysis/process_heap.h"
#include "analysis/process_scan.h"
#include "tests/support/self_target.h"

namespace heapledger {
namespace {

constexpr std::size_t kBlocks = 10'000'000;

struct TreeNode {
  TreeNode* left;
  TreeNode* right;
};
TreeNode* volatile root;

void grow(std::size_t count) {
  std::mt19937_64 random(1);
  auto** nodes = static_cast<TreeNode**>(std::malloc(count * sizeof(TreeNode*)));
  const auto make = [&](std::size_t i) {
    nodes[i] = static_cast<TreeNode*>(std::malloc(24 + 16 * (random() % 6)));
    *nodes[i] = {};
  };
  for (std::size_t i = 0; i < count; ++i) make(i);
  for (std::size_t i = 0; i < count; i += 10) std::free(nodes[i]);
  for (std::size_t i = 0; i < count; i += 10) make(i);
  for (std::size_t i = 1; i < count; ++i) {
    TreeNode& parent = *nodes[(i - 1) / 2];
    (i % 2 == 1 ? parent.left : parent.right) = nodes[i];
  }
  root = nodes[0];
  std::free(nodes);
}

// One for all benchmarks: it takes longer to make than to look at.
pid_t inferior() {
  static const pid_t pid = [] {
    const pid_t child = fork();
    if (child == 0) {
      grow(kBlocks);
      raise(SIGSTOP);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, WUNTRACED);
    std::atexit([] { kill(inferior(), SIGKILL); });
    return child;
  }();
  return pid;
}

HeapWalk walked(Target& target, benchmark::State& state) {
  auto heap = walk_process_heap(target, {});
  if (!heap || !heap->complete() || heap->used.size() < kBlocks) state.SkipWithError("no whole walk");
  return heap ? std::move(*heap) : HeapWalk{};
}

void walk(benchmark::State& state) {
  testing::SelfTarget target(inferior());
  for (auto _ : state) benchmark::DoNotOptimize(walked(target, state));
}
BENCHMARK(walk)->Unit(benchmark::kMillisecond)->UseRealTime();

void cold(benchmark::State& state) {
  testing::SelfTarget target(inferior());
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  for (auto _ : state) {
    HeapWalk heap = walked(target, state);
    Ledger ledger;
    ledger.join_heap(std::move(heap.used), false);
    const auto mappings = target.mappings();
    std::optional<BlockShapes> shapes;
    ProcessScanOptions options;
    options.tracked_from_start = false;
    options.heap = &heap;
    options.shapes = [&]() -> const BlockShapes& {
      if (!shapes) shapes.emplace(target, *mappings, ledger);
      return *shapes;
    };
    const auto scan = scan_process(target, ledger, {}, options);
    if (!scan || scan->scan.summary()[Verdict::still_reachable].blocks < kBlocks) {
      state.SkipWithError("not all blocks are reachable");
    } else {
      benchmark::DoNotOptimize(scan->scan.records());
    }
  }
  getrusage(RUSAGE_SELF, &after);
  state.counters["peak_bytes_per_block"] =
      double(after.ru_maxrss - before.ru_maxrss) * 1024 / double(kBlocks);
}
BENCHMARK(cold)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(1);

}  // namespace
}  // namespace heapledger

BENCHMARK_MAIN();
