// SPDX-License-Identifier: Apache-2.0
//
// How much room a process of this machine has: what it may still map before the kernel says no, and what
// may be in the way of mapping anything at all. Asked for before anything is brought in, so that what is
// left stays the program's.
//
// Sources: proc(5), /proc/PID/limits and /proc/PID/status; Documentation/mm/overcommit-accounting;
// mm/mmap.c may_expand_vm() for what counts against RLIMIT_AS and RLIMIT_DATA.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace heapledger {

struct Room {
  std::uint64_t bytes = 0;  // that may still be mapped, private and writable
  std::string limit;        // what ends there: "RLIMIT_AS is 64000000 bytes"
};

// The narrowest of its limits and, with vm.overcommit_memory=2, the machine's; nullopt: none.
std::optional<Room> memory_room(std::uint64_t pid);

// How many a process of so many mappings may still make (vm.max_map_count). nullopt: unknown.
std::optional<std::uint64_t> mapping_room(std::size_t mappings);

// Filters of system calls the process has put on itself, or got from whoever started it, beyond those that
// this process lives under too (a container's). What they forbid cannot be read.
bool has_own_filters(std::uint64_t pid);
// It lives under any filter.
bool is_filtered(std::uint64_t pid);

}  // namespace heapledger
