// SPDX-License-Identifier: Apache-2.0
#include "inferior/thread_pointer.h"

#include <asm/prctl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

#include "inferior/local_memory.h"

namespace heapledger {
namespace {

struct Own {
  Address thread_pointer = 0;
  Address found = 0;
};

Own of_this_thread(std::uint64_t tid) {
  Own own;
  syscall(SYS_arch_prctl, ARCH_GET_FS, &own.thread_pointer);
  const auto pid = static_cast<std::uint64_t>(getpid());
  const auto mappings = read_mappings(pid);
  EXPECT_TRUE(mappings);
  own.found = find_thread_pointer(LocalMemory(pid), *mappings, tid, reinterpret_cast<Address>(&own));
  return own;
}

std::uint64_t own_tid() { return static_cast<std::uint64_t>(syscall(SYS_gettid)); }

TEST(ThreadPointer, OfTheFirstThreadIsFound) {
  const Own own = of_this_thread(own_tid());
  EXPECT_EQ(own.found, own.thread_pointer);
}

TEST(ThreadPointer, OfAnotherThreadIsFound) {
  std::thread([] {
    const Own own = of_this_thread(own_tid());
    EXPECT_EQ(own.found, own.thread_pointer);
  }).join();
}

TEST(ThreadPointer, OfNoThreadIsNotFound) { EXPECT_EQ(of_this_thread(0x3ffffff1).found, 0u); }

}  // namespace
}  // namespace heapledger
