// SPDX-License-Identifier: Apache-2.0
//
// The entries of real allocators are all moved, and those of the libraries loaded here are run.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <ostream>
#include <string>
#include <utility>

#include "tests/tracking/code_page.h"
#include "tests/tracking/entry_points.h"
#include "tracking/relocate.h"

// Under AddressSanitizer half of the calls below reach its allocator: families mix.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
  return "alloc_dealloc_mismatch=0";
}

namespace heapledger {
namespace {

using testing::call;
using testing::CodePage;

struct Library {
  std::string path;
  std::size_t entries;  // symbols of the list it defines
};

std::ostream& operator<<(std::ostream& out, const Library& library) { return out << library.path; }

class RealEntries : public ::testing::TestWithParam<Library> {};

TEST_P(RealEntries, AreAllMoved) {
  const auto file = ElfFile::open(GetParam().path);
  ASSERT_TRUE(file) << file.error().message;
  std::map<std::string, std::uint64_t> found;
  for (const auto& entry : testing::entry_points(**file)) {
    found[entry.symbol] = entry.value;
    const auto relocation = relocate_entry(entry.bytes, entry.value, entry.value + (64 << 20));
    EXPECT_TRUE(relocation) << entry.symbol << ": " << relocation.error().message;
    if (!relocation) continue;
    EXPECT_GE(relocation->displaced, 5u) << entry.symbol;
    EXPECT_LE(relocation->code.size(), 64u) << entry.symbol;
  }
  EXPECT_EQ(found.size(), GetParam().entries);
}

std::vector<Library> libraries() {
  return {{"/lib/x86_64-linux-gnu/libc.so.6", 17},
          {"/lib/x86_64-linux-gnu/libstdc++.so.6", 20},
          {ENTRY_POINTS_STATIC, 36},
          {ENTRY_POINTS_MUSL, 15},
          {"/usr/lib/x86_64-linux-musl/libc.so", 15},
          {JEMALLOC, 28}};
}

INSTANTIATE_TEST_SUITE_P(Libraries, RealEntries, ::testing::ValuesIn(libraries()),
                         [](const auto& info) {
                           std::string name =
                               info.param.path.substr(info.param.path.rfind('/') + 1);
                           for (char& c : name)
                             c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name + std::to_string(info.index);
                         });

// Trampolines of the entries of a library that is loaded here.
class Trampolines {
 public:
  explicit Trampolines(const char* library)
      : handle_(dlopen(library, RTLD_NOW)), page_(base(handle_)) {
    link_map* map = nullptr;
    dlinfo(handle_, RTLD_DI_LINKMAP, &map);
    const auto file = ElfFile::open(map->l_name);
    for (const auto& entry : testing::entry_points(**file)) {
      const Address trampoline = page_.take(64);
      const auto relocation = relocate_entry(entry.bytes, map->l_addr + entry.value, trampoline);
      if (!relocation) continue;
      CodePage::write(trampoline, relocation->code);
      places_[entry.symbol] = trampoline;
    }
  }
  Address operator[](const std::string& symbol) const { return places_.at(symbol); }
  std::size_t size() const { return places_.size(); }

 private:
  static Address base(void* handle) {
    link_map* map = nullptr;
    dlinfo(handle, RTLD_DI_LINKMAP, &map);
    return map->l_addr;
  }

  void* handle_;
  CodePage page_;
  std::map<std::string, Address> places_;
};

TEST(RelocatedLibc, Allocates) {
  const Trampolines moved("libc.so.6");
  ASSERT_EQ(moved.size(), 17u);
  const auto usable =
      reinterpret_cast<Address>(dlsym(dlopen("libc.so.6", RTLD_NOW), "malloc_usable_size"));
  const auto check = [&](std::uint64_t block, std::uint64_t size, std::uint64_t alignment) {
    ASSERT_NE(block, 0u);
    EXPECT_EQ(block % alignment, 0u);
    EXPECT_GE(call(usable, block), size);
    std::memset(reinterpret_cast<void*>(block), 0xa5, size);
    call(moved["free"], block);
  };
  check(call(moved["malloc"], 100ul), 100, 16);
  check(call(moved["malloc"], 1ul << 20), 1 << 20, 16);
  check(call(moved["calloc"], 10ul, 30ul), 300, 16);
  check(call(moved["realloc"], call(moved["malloc"], 10ul), 5000ul), 5000, 16);
  check(call(moved["aligned_alloc"], 256ul, 512ul), 512, 256);
  check(call(moved["memalign"], 64ul, 10ul), 10, 64);
  check(call(moved["valloc"], 10ul), 10, 4096);
  check(call(moved["pvalloc"], 10ul), 4096, 4096);
  std::uint64_t out = 0;
  EXPECT_EQ(call<int>(moved["posix_memalign"], &out, 128ul, 40ul), 0);
  check(out, 40, 128);
  EXPECT_EQ(call<int>(moved["posix_memalign"], &out, 3ul, 40ul), EINVAL);
  // It calls realloc through the PLT: a sanitizer's, where there is one.
  const auto array = reinterpret_cast<void*>(call(moved["reallocarray"], 0ul, 7ul, 9ul));
  EXPECT_GE(malloc_usable_size(array), 63u);
  free(array);
  errno = 0;
  EXPECT_EQ(call(moved["reallocarray"], 0ul, ~0ul, 9ul), 0u);
  EXPECT_EQ(errno, ENOMEM);
  call(moved["free"], 0ul);
  call(moved["cfree"], call(moved["malloc"], 1ul));
}

TEST(RelocatedLibc, Maps) {
  const Trampolines moved("libc.so.6");
  const auto block = call(moved["mmap"], 0ul, 8192ul, std::uint64_t(PROT_READ | PROT_WRITE),
                          std::uint64_t(MAP_PRIVATE | MAP_ANONYMOUS), ~0ul, 0ul);
  ASSERT_NE(block, ~0ul);
  *reinterpret_cast<char*>(block + 8191) = 1;
  const auto larger =
      call(moved["mremap"], block, 8192ul, 1ul << 20, std::uint64_t(MREMAP_MAYMOVE), 0ul);
  ASSERT_NE(larger, ~0ul);
  EXPECT_EQ(*reinterpret_cast<char*>(larger + 8191), 1);
  EXPECT_EQ(call<int>(moved["munmap"], larger, 1ul << 20), 0);
  errno = 0;
  EXPECT_EQ(call<int>(moved["munmap"], 1ul, 4096ul), -1);
  EXPECT_EQ(errno, EINVAL);

  const int segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  ASSERT_GE(segment, 0);
  const auto attached = call(moved["shmat"], segment, 0ul, 0);
  shmctl(segment, IPC_RMID, nullptr);
  ASSERT_NE(attached, ~0ul);
  *reinterpret_cast<char*>(attached) = 1;
  EXPECT_EQ(call<int>(moved["shmdt"], attached), 0);
}

TEST(RelocatedLibstdcxx, Allocates) {
  const Trampolines moved("libstdc++.so.6");
  ASSERT_EQ(moved.size(), 20u);
  const std::uint64_t nothrow = reinterpret_cast<std::uint64_t>(&std::nothrow);
  const auto check = [&](const char* release, std::uint64_t block, auto... more) {
    ASSERT_NE(block, 0u);
    std::memset(reinterpret_cast<void*>(block), 0xa5, 100);
    call(moved[release], block, more...);
  };
  check("_ZdlPv", call(moved["_Znwm"], 100ul));
  check("_ZdaPv", call(moved["_Znam"], 100ul));
  check("_ZdlPvm", call(moved["_Znwm"], 100ul), 100ul);
  check("_ZdaPvm", call(moved["_Znam"], 100ul), 100ul);
  check("_ZdlPvRKSt9nothrow_t", call(moved["_ZnwmRKSt9nothrow_t"], 100ul, nothrow), nothrow);
  check("_ZdaPvRKSt9nothrow_t", call(moved["_ZnamRKSt9nothrow_t"], 100ul, nothrow), nothrow);
  check("_ZdlPvSt11align_val_t", call(moved["_ZnwmSt11align_val_t"], 100ul, 64ul), 64ul);
  check("_ZdaPvSt11align_val_t", call(moved["_ZnamSt11align_val_t"], 100ul, 64ul), 64ul);
  check("_ZdlPvmSt11align_val_t", call(moved["_ZnwmSt11align_val_t"], 100ul, 64ul), 100ul, 64ul);
  check("_ZdaPvmSt11align_val_t", call(moved["_ZnamSt11align_val_t"], 100ul, 64ul), 100ul, 64ul);
  check("_ZdlPvSt11align_val_tRKSt9nothrow_t",
        call(moved["_ZnwmSt11align_val_tRKSt9nothrow_t"], 100ul, 64ul, nothrow), 64ul, nothrow);
  check("_ZdaPvSt11align_val_tRKSt9nothrow_t",
        call(moved["_ZnamSt11align_val_tRKSt9nothrow_t"], 100ul, 64ul, nothrow), 64ul, nothrow);
}

#ifndef __SANITIZE_ADDRESS__  // its operator new, which the nothrow form calls, never throws
TEST(RelocatedLibstdcxx, ThrowsAndReportsFailureAsBefore) {
  const Trampolines moved("libstdc++.so.6");
  const std::uint64_t too_much = 1ull << 62;
  const std::uint64_t nothrow = reinterpret_cast<std::uint64_t>(&std::nothrow);
  EXPECT_EQ(call(moved["_ZnwmRKSt9nothrow_t"], too_much, nothrow), 0u);
  // Between the moved instructions of a throwing new there is no call: no frame of it is unwound.
  EXPECT_THROW(call(moved["_Znwm"], too_much), std::bad_alloc);
}
#endif

}  // namespace
}  // namespace heapledger
