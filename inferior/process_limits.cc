// SPDX-License-Identifier: Apache-2.0
#include "inferior/process_limits.h"

#include <fmt/format.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "inferior/proc_file.h"

namespace heapledger {
namespace {

constexpr unsigned kIpcLock = 14;  // CAP_IPC_LOCK: RLIMIT_MEMLOCK does not count

std::uint64_t rest_of(std::uint64_t limit, std::uint64_t used) { return limit - std::min(limit, used); }

void narrow(std::optional<Room>& room, Room other) {
  if (!room || other.bytes < room->bytes) room = std::move(other);
}

// With MCL_FUTURE everything that is mapped is locked too; that it was asked for shows in how much is.
bool locks_what_it_maps(const std::string& status) {
  const auto locked = number_after(status, "VmLck"), size = number_after(status, "VmSize");
  const auto capabilities = number_after(status, "CapEff", 16);
  return locked && size && *locked > *size / 2 && capabilities && (*capabilities >> kIpcLock & 1) == 0;
}

// How many; strict mode, which has none, forbids more than any of them.
std::uint64_t filters(const std::string& status) {
  const std::uint64_t mode = number_after(status, "Seccomp:").value_or(0);
  if (mode == 0) return 0;
  if (mode == SECCOMP_MODE_STRICT) return std::numeric_limits<std::uint64_t>::max();
  return number_after(status, "Seccomp_filters").value_or(1);  // told from Linux 5.9 on
}

}  // namespace

std::optional<Room> memory_room(std::uint64_t pid) {
  const std::string limits = read_proc_file(pid, "limits"), status = read_proc_file(pid, "status");
  std::optional<Room> room;
  const auto consider = [&](const char* title, const char* name, const char* used_title) {
    const auto limit = number_after(limits, title);
    const auto used = number_after(status, used_title);
    if (!limit || !used) return;
    narrow(room, {rest_of(*limit, *used * 1024), fmt::format("{} is {} bytes", name, *limit)});
  };
  consider("Max address space", "RLIMIT_AS", "VmSize");
  consider("Max data size", "RLIMIT_DATA", "VmData");
  if (locks_what_it_maps(status)) consider("Max locked memory", "RLIMIT_MEMLOCK", "VmLck");
  if (number_after(read_proc_file("/proc/sys/vm/overcommit_memory"), "") == 2u) {
    const std::string machine = read_proc_file("/proc/meminfo");
    const auto limit = number_after(machine, "CommitLimit"), used = number_after(machine, "Committed_AS");
    if (limit && used) {
      narrow(room, {rest_of(*limit, *used) * 1024, fmt::format("vm.overcommit_memory is 2, of {} bytes",
                                                               *limit * 1024)});
    }
  }
  return room;
}

std::optional<std::uint64_t> mapping_room(std::size_t mappings) {
  const auto most = number_after(read_proc_file("/proc/sys/vm/max_map_count"), "");
  return most ? std::optional(rest_of(*most, mappings)) : std::nullopt;
}

bool is_filtered(std::uint64_t pid) { return filters(read_proc_file(pid, "status")) != 0; }

bool has_own_filters(std::uint64_t pid) {
  return filters(read_proc_file(pid, "status")) > filters(read_proc_file("/proc/self/status"));
}

}  // namespace heapledger
