// SPDX-License-Identifier: Apache-2.0
//
// A thread's thread pointer (fs_base) where the debugger does not tell it (LLDB before 18): found in memory. In
// glibc and musl alike the thread control block begins with its own address (the ABI wants it at %fs:0) and
// holds the kernel's id of the thread a few words further on. A thread's block lies at the end of its stack,
// the first thread's in memory of the loader's, of libc's, or at the beginning of the heap.
#pragma once

#include <cstdint>

#include "inferior/mappings.h"
#include "inferior/memory.h"

namespace heapledger {

// 0: there is none, or it was not found among the first 64 MiB of what it may lie in.
Address find_thread_pointer(const Memory& memory, const Mappings& mappings, std::uint64_t tid, Address sp);

}  // namespace heapledger
