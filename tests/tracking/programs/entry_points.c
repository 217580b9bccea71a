// SPDX-License-Identifier: Apache-2.0
//
// Refers to every entry point, so that a static link keeps them.
#define C_ENTRIES(X)                                                                         \
  X(malloc) X(calloc) X(realloc) X(reallocarray) X(free) X(posix_memalign) X(aligned_alloc)  \
  X(memalign) X(valloc) X(mmap) X(munmap) X(mremap) X(shmat) X(shmdt)

#define CXX_ENTRIES(X)                                                                       \
  X(_Znwm) X(_Znam) X(_ZnwmRKSt9nothrow_t) X(_ZnamRKSt9nothrow_t) X(_ZnwmSt11align_val_t)    \
  X(_ZnamSt11align_val_t) X(_ZnwmSt11align_val_tRKSt9nothrow_t)                              \
  X(_ZnamSt11align_val_tRKSt9nothrow_t) X(_ZdlPv) X(_ZdaPv) X(_ZdlPvm) X(_ZdaPvm)            \
  X(_ZdlPvRKSt9nothrow_t) X(_ZdaPvRKSt9nothrow_t) X(_ZdlPvSt11align_val_t)                   \
  X(_ZdaPvSt11align_val_t) X(_ZdlPvmSt11align_val_t) X(_ZdaPvmSt11align_val_t)               \
  X(_ZdlPvSt11align_val_tRKSt9nothrow_t) X(_ZdaPvSt11align_val_tRKSt9nothrow_t)

#define DECLARE(name) extern char name##_entry[] __asm__(#name);
#define ADDRESS(name) name##_entry,

C_ENTRIES(DECLARE)
#ifdef WITH_OPERATORS
CXX_ENTRIES(DECLARE)
#endif

char* volatile entries[] = {
    C_ENTRIES(ADDRESS)
#ifdef WITH_OPERATORS
    CXX_ENTRIES(ADDRESS)
#endif
};

int main(void) { return entries[0] == 0; }
