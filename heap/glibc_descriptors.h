// SPDX-License-Identifier: Apache-2.0
//
// What glibc tells thread debuggers: libc.so.6 (libpthread.so.0 before 2.34) exports descriptors
// `_thread_db_STRUCT_FIELD` = { uint32_t bits, elements, offset } for libthread_db
// (nptl_db/structs.def). They are read from the files, so no layout of struct pthread, link_map or
// rtld_global is built in.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "heap/glibc_arena.h"
#include "inferior/memory.h"
#include "inferior/modules.h"

namespace heapledger {

// The byte offset a descriptor states; nothing when no module exports it.
std::optional<std::uint32_t> descriptor_offset(const std::vector<Module>& modules,
                                               std::string_view name);

// Run-time addresses of the list heads of all threads; empty when they are not known.
std::vector<Address> thread_list_heads(const std::vector<Module>& modules, const Glibc& glibc);

// The thread-local storage of the module with glibc's malloc: thread's block = fs_base - distance.
struct TlsBlock {
  std::uint64_t distance = 0;
  std::uint64_t size = 0;
};
std::optional<TlsBlock> libc_tls_block(const Memory& memory, const std::vector<Module>& modules,
                                       const Glibc& glibc);

// The number by which a module's thread-local storage is found in a dtv (System V ABI, "TLS module
// ID"); nothing when it has none.
std::optional<std::uint64_t> tls_module_id(const Memory& memory, const std::vector<Module>& modules,
                                           const Module& module);

}  // namespace heapledger
