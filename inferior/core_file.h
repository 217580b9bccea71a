// SPDX-License-Identifier: Apache-2.0
//
// What a core file tells of its process beside memory: mappings (PT_LOAD, and the NT_FILE note for
// which file each showed), the modules behind them, and where its program began (NT_AUXV). See core(5)
// and the kernel's fs/binfmt_elf.c.
#pragma once

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
  Mappings mappings;            // inode 1 stands for any file
  std::vector<Module> modules;  // sorted by address; a file that cannot be opened has a null `elf`
  Address entry = 0;            // AT_ENTRY, 0: unknown
};

// The Error names the path and what is wrong with it.
Result<CoreFile> read_core_file(const std::string& path);

// What its modules' files hold where the core holds nothing.
std::unique_ptr<Memory> memory_of(const CoreFile& core);

}  // namespace heapledger
