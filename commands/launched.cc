// SPDX-License-Identifier: Apache-2.0
#include "commands/launched.h"

#include <fmt/format.h>

#include <fstream>
#include <optional>
#include <string>

namespace heapledger {
namespace {

// "PPid:	4711" of /proc/PID/status.
std::optional<std::uint64_t> status_number(std::uint64_t pid, const std::string& label) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(label + ":")) continue;
    return std::strtoull(line.c_str() + label.size() + 1, nullptr, 10);
  }
  return std::nullopt;
}

}  // namespace

bool launched_by_its_tracer(std::uint64_t pid) {
  const auto parent = status_number(pid, "PPid");
  const auto tracer = status_number(pid, "TracerPid");
  return !parent || !tracer || *tracer == 0 || *parent == *tracer;
}

}  // namespace heapledger
