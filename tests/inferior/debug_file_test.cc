// SPDX-License-Identifier: Apache-2.0
#include "inferior/debug_file.h"

#include <gtest/gtest.h>
#include <search.h>
#include <unistd.h>

#include <algorithm>

#include "inferior/demangle.h"
#include "inferior/local_memory.h"
#include "inferior/modules.h"

int debug_file_test_global[4] = {1, 2, 3, 4};
constexpr std::uint32_t kGlobalLine = __LINE__ - 1;

namespace heapledger {
namespace {

constexpr const char* kDirectories = "/usr/lib/debug";

// Where it will return to: an address inside its caller.
[[gnu::noinline]] Address return_address() {
  asm volatile("" ::: "memory");
  return reinterpret_cast<Address>(__builtin_return_address(0));
}

std::uint32_t inner_line = 0, outer_line = 0;

[[gnu::always_inline]] inline Address inlined_caller() {
  inner_line = __LINE__ + 1;
  const Address address = return_address();
  asm volatile("" ::: "memory");
  return address;
}

[[gnu::noinline]] Address outer_caller(int) {
  outer_line = __LINE__ + 1;
  const Address address = inlined_caller();
  asm volatile("" ::: "memory");
  return address;
}

struct Place {
  std::shared_ptr<const ElfFile> elf;
  Address bias = 0;
};

Place place_of(Address address) {
  const auto pid = static_cast<std::uint64_t>(getpid());
  const auto mappings = read_mappings(pid);
  const auto modules = ModuleList::read(pid, *mappings, LocalMemory(pid));
  const Module* module = find_module(*modules, address);
  EXPECT_NE(module, nullptr);
  return module == nullptr ? Place{} : Place{module->elf, module->bias};
}

TEST(DebugFile, NamesInlinedFunctionsAndTheirCallSites) {
  const Address address = outer_caller(1) - 1;
  const Place place = place_of(address);
  const auto frames = DebugFile(place.elf, kDirectories).frames(address - place.bias);
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_TRUE(frames[0].inlined);
  EXPECT_NE(frames[0].function.find("inlined_caller"), std::string::npos) << frames[0].function;
  EXPECT_EQ(frames[0].line, inner_line);
  EXPECT_TRUE(frames[0].file.ends_with("debug_file_test.cc")) << frames[0].file;
  EXPECT_FALSE(frames[1].inlined);
  EXPECT_EQ(frames[1].function, "heapledger::(anonymous namespace)::outer_caller(int)");
  EXPECT_EQ(frames[1].line, outer_line);
  EXPECT_EQ(place.bias + (address - place.bias) - frames[1].offset,
            reinterpret_cast<Address>(&outer_caller));
}

TEST(DebugFile, NamesGlobalsWithTheirDeclaration) {
  const auto address = reinterpret_cast<Address>(&debug_file_test_global[2]);
  const Place place = place_of(address);
  const auto name = DebugFile(place.elf, kDirectories).data(address - place.bias);
  ASSERT_TRUE(name);
  EXPECT_EQ(name->symbol, "debug_file_test_global");
  EXPECT_EQ(name->offset, 8u);
  EXPECT_EQ(name->line, kGlobalLine);
  EXPECT_TRUE(name->file.ends_with("debug_file_test.cc")) << name->file;
}

TEST(DebugFile, WithoutASymbolItNamesTheSection) {
  const auto address = reinterpret_cast<Address>(&debug_file_test_global);
  const Place place = place_of(address);
  const ElfSection* section = place.elf->section(".eh_frame");
  ASSERT_NE(section, nullptr);
  const auto name = DebugFile(place.elf, kDirectories).data(section->address + 16);
  ASSERT_TRUE(name);
  EXPECT_EQ(name->symbol, ".eh_frame");
  EXPECT_EQ(name->offset, 16u);
}

TEST(DebugFile, LooksForSeparateDebugFilesWhereItIsTold) {
  const auto address = reinterpret_cast<Address>(&tfind) + 1;
  const Place place = place_of(address);  // through the PLT it may be our own module
  const auto found = place.elf->functions("tfind");
  if (found.empty()) GTEST_FAIL() << "tfind resolved to " << place.elf->name();
  const std::uint64_t inside = found.front().value + 1;
  EXPECT_TRUE(DebugFile(place.elf, kDirectories).frames(inside).back().file.ends_with(".c"));
  const auto without = DebugFile(place.elf, "/nonexistent").frames(inside);
  EXPECT_EQ(without.back().file, "");
  EXPECT_NE(without.back().function.find("tfind"), std::string::npos);
}

TEST(DebugFile, AnAddressOutsideHasAnEmptyFrame) {
  const Place place = place_of(reinterpret_cast<Address>(&debug_file_test_global));
  const auto frames = DebugFile(place.elf, kDirectories).frames(0x7fffffffffff);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].function, "");
  EXPECT_FALSE(DebugFile(place.elf, kDirectories).data(0x7fffffffffff));
}

// f(A<int, int>, A<A<int, int>, A<int, int>>, ...): each argument twice as long as the one before.
std::string doubling(unsigned times) {
  std::string name = "_Z1f1AIiiES_IS0_S0_E";
  for (unsigned i = 1; i < times; ++i) {
    const std::string before = std::string(1, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i]);
    name += "S_IS" + before + "_S" + before + "_E";
  }
  return name;
}

TEST(Demangled, IsLeftAsItIsWhereItWouldFillMemory) {
  EXPECT_EQ(demangled(doubling(1)), "f(A<int, int>, A<A<int, int>, A<int, int> >)");
  EXPECT_GT(demangled(doubling(10)).size(), 10'000u);
  EXPECT_EQ(demangled(doubling(35)), doubling(35));
}

TEST(Demangled, LeavesOtherNamesAlone) {
  EXPECT_EQ(demangled("_ZN3abc3defEv"), "abc::def()");
  EXPECT_EQ(demangled("malloc"), "malloc");
  EXPECT_EQ(demangled("_Znonsense"), "_Znonsense");
  EXPECT_EQ(demangled("i"), "i");
}

}  // namespace
}  // namespace heapledger
