// SPDX-License-Identifier: Apache-2.0
//
// The part of the contract (agent/protocol.h, whose version law holds here too) that names the allocator's
// entry points: what each is called, what kind of block it makes or releases, what its hook must do.
#pragma once

#include <cstdint>

namespace heapledger::agent {

// Kinds: the entry point that made (or released) a block, the outermost one of a nested call.

enum class Kind : std::uint8_t {
  none = 0,
  malloc,
  calloc,
  realloc,
  reallocarray,
  posix_memalign,
  aligned_alloc,
  memalign,
  valloc,
  pvalloc,
  operator_new,
  operator_new_array,
  mmap,
  mremap,
  shmat,
  custom,
  // Releases.
  free,
  free_sized,
  free_aligned_sized,
  cfree,
  operator_delete,
  operator_delete_array,
  munmap,
  shmdt,
};

// What a hook must do; one hook body in the agent per shape. `site_register` of the entry stub
// follows from the shape: the integer argument register after the function's own arguments, r11
// where there is none left or where the hook must not disturb any argument (jump shapes, mmap).
enum class Shape : std::uint8_t {
  malloc_like,      // void* f(size)                         site in rsi   hook_malloc
  calloc_like,      // void* f(count, size)                  site in rdx   hook_calloc
  realloc_like,     // void* f(old, size)                    site in rdx   hook_realloc
  reallocarray,     // void* f(old, count, size)             site in rcx   hook_reallocarray
  aligned_like,     // void* f(alignment, size)              site in rdx   hook_aligned
  posix_memalign,   // int f(void** out, alignment, size)    site in rcx   hook_posix_memalign
  free_like,        // void f(block, ...)                    site in rcx   hook_free
  new_like,         // jump: notes the kind                  site in r11   hook_note
  delete_like,      // jump: notes the kind                  site in r11   hook_note
  mmap,             // void* f(6 arguments)                  site in r11   hook_mmap
  munmap,           // int f(address, length)                site in rdx   hook_munmap
  mremap,           // void* f(old, old_len, len, flags, to) site in r9    hook_mremap
  shmat,            // void* f(id, address, flags)           site in rcx   hook_shmat
  shmdt,            // int f(address)                        site in rsi   hook_shmdt
};

// The one list of entry points, expanded wherever one is needed: X(symbol, kind, shape).
#define HEAPLEDGER_ENTRY_POINTS(X)                                               \
  X("malloc", malloc, malloc_like)                                               \
  X("calloc", calloc, calloc_like)                                               \
  X("realloc", realloc, realloc_like)                                            \
  X("reallocarray", reallocarray, reallocarray)                                  \
  X("free", free, free_like)                                                     \
  X("free_sized", free_sized, free_like)                                         \
  X("free_aligned_sized", free_aligned_sized, free_like)                         \
  X("cfree", cfree, free_like)                                                   \
  X("posix_memalign", posix_memalign, posix_memalign)                            \
  X("aligned_alloc", aligned_alloc, aligned_like)                                \
  X("memalign", memalign, aligned_like)                                          \
  X("valloc", valloc, malloc_like)                                               \
  X("pvalloc", pvalloc, malloc_like)                                             \
  X("_Znwm", operator_new, new_like)                                             \
  X("_Znam", operator_new_array, new_like)                                       \
  X("_ZnwmRKSt9nothrow_t", operator_new, new_like)                               \
  X("_ZnamRKSt9nothrow_t", operator_new_array, new_like)                         \
  X("_ZnwmSt11align_val_t", operator_new, new_like)                              \
  X("_ZnamSt11align_val_t", operator_new_array, new_like)                        \
  X("_ZnwmSt11align_val_tRKSt9nothrow_t", operator_new, new_like)                \
  X("_ZnamSt11align_val_tRKSt9nothrow_t", operator_new_array, new_like)          \
  X("_ZdlPv", operator_delete, delete_like)                                      \
  X("_ZdaPv", operator_delete_array, delete_like)                                \
  X("_ZdlPvm", operator_delete, delete_like)                                     \
  X("_ZdaPvm", operator_delete_array, delete_like)                               \
  X("_ZdlPvRKSt9nothrow_t", operator_delete, delete_like)                        \
  X("_ZdaPvRKSt9nothrow_t", operator_delete_array, delete_like)                  \
  X("_ZdlPvSt11align_val_t", operator_delete, delete_like)                       \
  X("_ZdaPvSt11align_val_t", operator_delete_array, delete_like)                 \
  X("_ZdlPvmSt11align_val_t", operator_delete, delete_like)                      \
  X("_ZdaPvmSt11align_val_t", operator_delete_array, delete_like)                \
  X("_ZdlPvSt11align_val_tRKSt9nothrow_t", operator_delete, delete_like)         \
  X("_ZdaPvSt11align_val_tRKSt9nothrow_t", operator_delete_array, delete_like)   \
  X("mmap", mmap, mmap)                                                          \
  X("mmap64", mmap, mmap)                                                        \
  X("munmap", munmap, munmap)                                                    \
  X("mremap", mremap, mremap)                                                    \
  X("shmat", shmat, shmat)                                                       \
  X("shmdt", shmdt, shmdt)

}  // namespace heapledger::agent
