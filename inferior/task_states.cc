// SPDX-License-Identifier: Apache-2.0
#include "inferior/task_states.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace heapledger {

bool all_tasks_stopped(std::uint64_t pid) {
  std::error_code error;
  std::size_t tasks = 0;
  for (std::filesystem::directory_iterator at(fmt::format("/proc/{}/task", pid), error), end;
       !error && at != end; at.increment(error)) {
    std::ifstream file(at->path() / "stat");
    std::string line;
    if (!std::getline(file, line)) continue;  // it has just ended
    // The name before the state may hold anything, brackets too.
    const std::size_t name_end = line.rfind(')');
    if (name_end == std::string::npos || name_end + 2 >= line.size()) return false;
    const char state = line[name_end + 2];
    if (state != 't' && state != 'T' && state != 'Z' && state != 'X') return false;
    ++tasks;
  }
  return !error && tasks != 0;
}

}  // namespace heapledger
