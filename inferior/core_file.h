// SPDX-License-Identifier: Apache-2.0
//
// What a core file tells of its process beside memory: mappings (PT_LOAD, and the NT_FILE note for
// which file each showed), the modules behind them, and where its program began (NT_AUXV). See core(5)
// and the kernel's fs/binfmt_elf.c.
//
// The kernel lists every mapping and leaves the contents of unmodified file pages out. gdb's gcore does
// not list those at all, and calls memory that cannot be accessed readable.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "inferior/core_memory.h"
#include "inferior/elf_file.h"
#include "inferior/mappings.h"
#include "inferior/modules.h"

namespace heapledger {

struct CoreFile {
  std::shared_ptr<const ElfFile> elf;
  // As /proc/PID/maps would have listed them, as far as the core tells: a file's inode is made up from
  // its name; of anonymous memory only [stack], [vdso], [vvar] and [vsyscall] have names.
  Mappings mappings;
  // Sorted by address. Files are taken only where they are the mapped ones (headers and build-id); else
  // `elf` is null, or what of the file is in the core.
  std::vector<Module> modules;
  Address entry = 0;  // AT_ENTRY, 0: unknown
  // xmm0..15 of each thread in 64-bit words, by the kernel's thread id (NT_FPREGSET). gdb up to 13 does
  // not understand the longer note of newer kernels that has them too.
  std::map<std::uint64_t, std::vector<std::uint64_t>> vector_registers;
  // Of writable memory, bytes that the file was cut off before. What a filter left out
  // (coredump_filter) is not counted here: it reads as missing.
  std::uint64_t bytes_cut_off = 0;
  // Of memory the file has nothing of, what is too much to be looked for: it counts as not readable.
  std::uint64_t bytes_not_shown = 0;
  bool stack_left_out = false;  // and with it all private memory: coredump_filter, core(5)
};

// The Error names the path and what is wrong with it.
Result<CoreFile> read_core_file(const std::string& path);

// What of the process's own memory is not there, in words; empty: nothing is missing that the core tells
// of.
std::string missing_evidence(const CoreFile& core);

// What its modules' files hold where the core holds nothing.
std::unique_ptr<Memory> memory_of(const CoreFile& core);

}  // namespace heapledger
