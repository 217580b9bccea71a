// SPDX-License-Identifier: Apache-2.0
#include "inferior/creating_thread.h"

#include <fmt/format.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <fstream>

namespace heapledger {
namespace {

#ifndef SYS_clone3
#define SYS_clone3 435
#endif
constexpr std::array<long, 4> kCreatingCalls = {SYS_clone, SYS_fork, SYS_vfork, SYS_clone3};

}  // namespace

bool is_creating_another(std::uint64_t pid, std::uint64_t tid) {
  // "56 0x1200011 0x0 ...", "running", or "-1 SP PC" outside of any call.
  std::ifstream file(fmt::format("/proc/{}/task/{}/syscall", pid, tid));
  long number = -1;
  if (!(file >> number)) return false;
  return std::find(kCreatingCalls.begin(), kCreatingCalls.end(), number) != kCreatingCalls.end();
}

}  // namespace heapledger
