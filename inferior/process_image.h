// SPDX-License-Identifier: Apache-2.0
//
// Which program a process runs, and how far its loader is, asked of the kernel and of the process's
// own memory, so that the answer is the same in every debugger.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "inferior/address.h"
#include "inferior/memory.h"
#include "inferior/result.h"

namespace heapledger {

// Differs between two processes, and between a process before and after exec: the kernel puts 16
// random bytes on the stack of every image it starts (AT_RANDOM, getauxval(3)). Neither the pid nor
// the path nor any address tells that much when address space randomisation is off.
struct ProcessImage {
  std::uint64_t pid = 0;
  std::uint64_t start_time = 0;  // clock ticks since boot, /proc/PID/stat field 22
  std::array<std::uint64_t, 2> random{};
  Address program_headers = 0;  // AT_PHDR
  Address entry = 0;            // AT_ENTRY
  friend bool operator==(const ProcessImage&, const ProcessImage&) = default;
};

Result<ProcessImage> read_process_image(std::uint64_t pid, const Memory& memory);

// The process is a child of what traces it: it was launched under the debugger, not attached to.
bool launched_by_tracer(std::uint64_t pid);
// Its tracer is a child of this process (lldb-server, started by LLDB): it is a process of this machine.
bool traced_by_child(std::uint64_t pid);

// r_state of the loader's r_debug (link.h): `changing` between the two events of a dlopen or
// dlclose, and at the first event of a glibc program, when no library is there yet. `unknown`: the
// program has no DT_DEBUG entry (static programs) or it is not filled in yet.
enum class LoaderState { unknown, consistent, changing };
LoaderState loader_state(const ProcessImage& image, const Memory& memory);
// The same of the r_debug at an address.
LoaderState loader_state_at(Address r_debug, const Memory& memory);

// The function the loader calls at each of its events (r_brk); 0: unknown.
Address loader_event_function(const ProcessImage& image, const Memory& memory);

}  // namespace heapledger
