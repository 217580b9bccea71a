// SPDX-License-Identifier: Apache-2.0
//
// Where the debug information of a stripped file is: by build-id, or by the name and checksum in its
// .gnu_debuglink (gdb's manual, "Separate Debug Files"), and the file that dwz took common parts out into
// (.gnu_debugaltlink). Such names come from a file that may be anybody's: only regular files are opened,
// and only what proves to belong to it counts. No server is asked (debuginfod); what gdb has fetched from
// one is in its cache.
#pragma once

#include <memory>
#include <string>

#include "inferior/elf_file.h"

namespace heapledger {

// `directories`: separated by colons, as gdb's debug-file-directory has them. Null: there is none.
std::shared_ptr<const ElfFile> separate_debug_file(const ElfFile& file, const std::string& directories);

bool has_alternate_debug_file(const ElfFile& debug);
std::shared_ptr<const ElfFile> alternate_debug_file(const ElfFile& debug, const std::string& directories);

}  // namespace heapledger
