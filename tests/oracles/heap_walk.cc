// SPDX-License-Identifier: Apache-2.0
//
// heap_walk PID: the blocks of a stopped glibc or musl process from malloc's own structures, as an oracle
// for what was tracked. Needs no ptrace, so a debugger may hold the process. One line each:
//
//   addr=7f12a0 usable=24      a block of the program
//   free=7f12c0 usable=24      a recognised free block (with --free)
//   internal=7f1010            a block malloc made for itself
//   complete | incomplete REASON; REASON ...
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "heap/glibc_walk.h"
#include "inferior/local_memory.h"

using namespace heapledger;

namespace {

std::size_t count_tasks(std::uint64_t pid) {
  std::error_code error;
  const std::filesystem::directory_iterator tasks(fmt::format("/proc/{}/task", pid), error);
  return error ? 0 : static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

Result<HeapWalk> walk(std::uint64_t pid) {
  const LocalMemory memory(pid);
  const auto mappings = read_mappings(pid);
  if (!mappings) {
    return tl::unexpected(mappings.error());
  }
  const auto modules = ModuleList::read(pid, *mappings, memory);
  if (!modules) {
    return tl::unexpected(modules.error());
  }
  const auto glibc = find_glibc(*modules);
  if (!glibc) {
    return walk_heap(memory, *mappings, *modules, {});
  }
  const auto threads = find_tcbs(memory, *mappings, *modules, *glibc);
  auto result = walk_glibc_heap(memory, *mappings, *modules, threads);
  if (result && threads.size() < count_tasks(pid)) {
    result->messages.push_back(
        fmt::format("{} of {} threads found", threads.size(), count_tasks(pid)));
  }
  return result;
}

void print(const HeapWalk& heap, bool with_free) {
  std::string text;
  for (const Block& block : heap.used) {
    text += fmt::format("addr={:x} usable={}\n", block.start, block.size);
  }
  for (const Block& block : with_free ? heap.free : std::vector<Block>{}) {
    text += fmt::format("free={:x} usable={}\n", block.start, block.size);
  }
  for (const Block& block : heap.internal) {
    text += fmt::format("internal={:x}\n", block.start);
  }
  text += heap.complete() ? "complete\n"
                          : fmt::format("incomplete {}\n", fmt::join(heap.messages, "; "));
  std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t pid = 0;
  const bool with_free = argc == 3 && std::strcmp(argv[2], "--free") == 0;
  const char* text = argc == 2 || with_free ? argv[1] : "";
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), pid);
  if (error != std::errc{} || *end != '\0') {
    std::fputs("usage: heap_walk PID [--free]\n", stderr);
    return 2;
  }
  const auto heap = walk(pid);
  if (!heap) {
    std::fprintf(stdout, "incomplete %s\n", heap.error().message.c_str());
    return 1;
  }
  print(*heap, with_free);
  return heap->complete() ? 0 : 1;
}
