// SPDX-License-Identifier: Apache-2.0
//
// What a forked child does whose allocator is hooked: threads that allocate and check what they got, a
// signal handler that holds one of them, and the hooks that count.
#pragma once

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/protocol.h"
#include "tests/tracking/code_page.h"
#include "tests/tracking/entry_points.h"

namespace heapledger::testing {

inline constexpr int kWorkers = 3;

// Seen by the test and by the child.
struct Shared {
  std::atomic<std::uint64_t> rounds[kWorkers];
  std::atomic<std::uint64_t> errors;
  std::atomic<std::uint64_t> hook_calls;
  std::atomic<int> in_handler;
  std::atomic<int> leave_handler;
};

inline Shared* shared = nullptr;

struct Libc {
  std::shared_ptr<const ElfFile> file;
  Address base = 0;
  AddressRange range;
  std::vector<EntryPoint> entries;

  Libc() {
    void* handle = dlopen("libc.so.6", RTLD_NOW);
    link_map* map = nullptr;
    dlinfo(handle, RTLD_DI_LINKMAP, &map);
    base = map->l_addr;
    file = *ElfFile::open(map->l_name);
    entries = entry_points(*file);
    Address end = 0;
    for (const ElfSegment& segment : file->segments()) {
      if (segment.type == PT_LOAD) end = std::max(end, segment.address + segment.memory_size);
    }
    range = {base, base + end};
  }
  const EntryPoint& entry(const std::string& symbol) const {
    for (const auto& entry : entries) {
      if (entry.symbol == symbol) return entry;
    }
    std::abort();
  }
  Address address(const std::string& symbol) const { return base + entry(symbol).value; }
  template <typename Function>
  Function* function(const std::string& symbol) const {
    return reinterpret_cast<Function*>(address(symbol));
  }
};

inline const Libc& libc() {
  static const Libc instance;
  return instance;
}

// One round of allocations with content that must survive. Called in the child, by address, so that
// a sanitizer's allocator in this process does not come between.
inline void allocate_and_check(std::uint64_t seed) {
  static const auto real_malloc = libc().function<void*(std::size_t)>("malloc");
  static const auto real_calloc = libc().function<void*(std::size_t, std::size_t)>("calloc");
  static const auto real_realloc = libc().function<void*(void*, std::size_t)>("realloc");
  static const auto real_memalign = libc().function<void*(std::size_t, std::size_t)>("memalign");
  static const auto real_free = libc().function<void(void*)>("free");
  const std::size_t size = 16 + seed % 2000;
  const auto holds = [](const unsigned char* block, std::size_t size, unsigned char value) {
    for (std::size_t i = 0; i < size; ++i) {
      if (block[i] != value) return false;
    }
    return true;
  };
  const auto canary = static_cast<unsigned char>(seed | 1);
  auto* a = static_cast<unsigned char*>(real_malloc(size));
  for (std::size_t i = 0; i < size; ++i) a[i] = canary;
  auto* b = static_cast<unsigned char*>(real_calloc(size, 2));
  bool right = holds(b, 2 * size, 0);
  auto* c = static_cast<unsigned char*>(real_memalign(256, size));
  right = right && reinterpret_cast<std::uintptr_t>(c) % 256 == 0;
  a = static_cast<unsigned char*>(real_realloc(a, 3 * size));
  right = right && holds(a, size, canary);
  real_free(b);
  real_free(a);
  real_free(c);
  if (!right) ++shared->errors;
}

inline void* work(void* argument) {
  const auto worker = reinterpret_cast<std::uintptr_t>(argument);
  for (;;) allocate_and_check(worker * 1000 + shared->rounds[worker]++);
}

inline void wait_in_handler(int) {
  shared->in_handler = 1;
  while (!shared->leave_handler) sched_yield();
}

template <int workers>
void run_workers() {
  for (std::uintptr_t i = 0; i < workers; ++i) {
    pthread_t thread;
    pthread_create(&thread, nullptr, work, reinterpret_cast<void*>(i));
  }
  for (;;) pause();
}

inline void work_with_handler(bool on_its_own_stack) {
  struct sigaction action {};
  action.sa_handler = wait_in_handler;
  static char stack[65536];
  if (on_its_own_stack) {
    const stack_t alternate{stack, 0, sizeof stack};
    sigaltstack(&alternate, nullptr);
    action.sa_flags = SA_ONSTACK;
  }
  sigaction(SIGUSR1, &action, nullptr);
  work(nullptr);
}

inline void wait_for_ever() {
  for (;;) pause();
}

// Counts and goes on to Site::original; the register is the one of the shape.
inline Bytes pass_through(agent::Shape shape) {
  using agent::Shape;
  static const std::map<Shape, Bytes> kJumps = {
      {Shape::malloc_like, {0xff, 0x26}},    {Shape::shmdt, {0xff, 0x26}},
      {Shape::calloc_like, {0xff, 0x22}},    {Shape::realloc_like, {0xff, 0x22}},
      {Shape::aligned_like, {0xff, 0x22}},   {Shape::munmap, {0xff, 0x22}},
      {Shape::reallocarray, {0xff, 0x21}},   {Shape::posix_memalign, {0xff, 0x21}},
      {Shape::free_like, {0xff, 0x21}},      {Shape::shmat, {0xff, 0x21}},
      {Shape::mremap, {0x41, 0xff, 0x21}},   {Shape::mmap, {0x41, 0xff, 0x23}},
      {Shape::new_like, {0x41, 0xff, 0x23}}, {Shape::delete_like, {0x41, 0xff, 0x23}}};
  Bytes code = {0x48, 0xb8};  // movabs $counter,%rax ; lock incq (%rax) ; jmp *(%reg)
  const auto counter = reinterpret_cast<Address>(&shared->hook_calls);
  for (int i = 0; i < 8; ++i) code.push_back(std::uint8_t(counter >> 8 * i));
  for (const std::uint8_t byte : {0xf0, 0x48, 0xff, 0x00}) code.push_back(byte);
  const Bytes& jump = kJumps.at(shape);
  code.insert(code.end(), jump.begin(), jump.end());
  return code;
}

}  // namespace heapledger::testing
