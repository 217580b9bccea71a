// SPDX-License-Identifier: Apache-2.0
//
// The ELF modules mapped into a process: program, loader, libraries, vdso - found from the mappings
// and the files, not from a debugger's list, so that the answer is the same in every debugger and
// correct at the very first loader event.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inferior/elf_file.h"
#include "inferior/mappings.h"
#include "inferior/memory.h"

namespace heapledger {

struct Module {
  std::string path;             // as mapped; "[vdso]" for the vdso
  std::string name;             // last component of the path
  std::shared_ptr<const ElfFile> elf;
  Address bias = 0;             // run-time address = bias + link-time address
  AddressRange range;           // lowest to highest mapped byte of its segments (page granular)
  AddressRange code;            // lowest to highest executable byte
  bool is_program = false;      // the main executable
  bool deleted = false;         // the file was unlinked or replaced; `elf` is then of the mapped file
                                // if it could still be opened (/proc/PID/map_files), else what of it
                                // is in memory: dynamic symbols only, no sections
};

// Modules of a live process, sorted by address. Files are opened through /proc/PID/root so that other
// mount namespaces work, falling back to /proc/PID/map_files; a module whose file cannot be read has
// a null `elf` and is listed all the same. Executable mappings that are no ELF file are not modules.
// `cache` (path, inode -> ElfFile) may be passed from call to call.
class ModuleList {
 public:
  static Result<std::vector<Module>> read(std::uint64_t pid, const Mappings& mappings,
                                          const Memory& memory);
};

// The program headers and the build-id of the file are those in memory.
bool is_image_of(const ElfFile& file, Address bias, const Memory& memory);

// "libc.so.6" style test on the file name and soname: is this glibc, musl, libstdc++ ...?
bool is_libc(const Module& module);       // glibc's or musl's C library (not the loader, for glibc)
bool is_musl(const Module& module);
const Module* find_module(const std::vector<Module>& modules, Address address);

}  // namespace heapledger
