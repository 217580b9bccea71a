// SPDX-License-Identifier: Apache-2.0
//
// operator new of the loaded modules' own: where there is no memory it throws, and commands/session.cc turns that
// into one line. The debuggers' do not: LLVM's handler ends LLDB (install_out_of_memory_new_handler), gdb's
// operator new is an internal error of gdb's. Both give what malloc gave, as this one does, so that who
// frees it does not matter. That the modules are linked with --exclude-libs makes it theirs alone. What
// libstdc++ allocates in code of its own, strings, is left to the debugger.
#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

void* must(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void* allocate(std::size_t size) noexcept { return std::malloc(std::max<std::size_t>(size, 1)); }

void* allocate(std::size_t size, std::align_val_t alignment) noexcept {
  const auto unit = static_cast<std::size_t>(alignment);
  return std::aligned_alloc(unit, (std::max<std::size_t>(size, 1) + unit - 1) / unit * unit);
}

}  // namespace

void* operator new(std::size_t size) { return must(allocate(size)); }
void* operator new[](std::size_t size) { return must(allocate(size)); }
void* operator new(std::size_t size, std::align_val_t alignment) { return must(allocate(size, alignment)); }
void* operator new[](std::size_t size, std::align_val_t alignment) { return must(allocate(size, alignment)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
