// SPDX-License-Identifier: Apache-2.0
#include "tracking/event_places.h"

#include <gtest/gtest.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>

#include "inferior/local_memory.h"

namespace heapledger {
namespace {

std::vector<Module> own_modules() {
  const auto pid = static_cast<std::uint64_t>(getpid());
  return *ModuleList::read(pid, *read_mappings(pid), LocalMemory(pid));
}

Module program(const std::string& path) {
  Module module;
  module.path = path;
  module.elf = ElfFile::open(path).value_or(nullptr);
  module.is_program = true;
  return module;
}

TEST(EventPlaces, ADynamicProgramsLoaderHasOne) {
  const auto places = loader_places(own_modules(), getauxval(AT_ENTRY));
  ASSERT_EQ(places.size(), 1u);
  EXPECT_EQ(places[0].function, "_dl_debug_state");
  EXPECT_NE(places[0].address, 0u);
}

TEST(EventPlaces, TheProgramsEndIsLibcsExit) {
  const auto modules = own_modules();
  const auto places = exit_places(modules);
  const auto libc = std::find_if(modules.begin(), modules.end(), [](const Module& m) {
    return m.name == "libc.so.6";
  });
  ASSERT_NE(libc, modules.end());
  const Address exit = libc->bias + libc->elf->functions("_exit").front().value;
  ASSERT_EQ(places.size(), 1u);  // glibc has one function under both names
  EXPECT_EQ(places[0], (EventPlace{"_exit", exit}));
}

TEST(EventPlaces, AStaticProgramBeginsInItsLibc) {
  const Module module = program(UNWIND_STATIC);
  ASSERT_NE(module.elf, nullptr);
  const auto places = loader_places({module}, module.elf->entry());
  const auto start = std::find_if(places.begin(), places.end(), [](const EventPlace& p) {
    return p.function == "__libc_start_main";
  });
  ASSERT_NE(start, places.end());
  EXPECT_EQ(start->address, module.elf->functions("__libc_start_main").front().value);
}

TEST(EventPlaces, AStrippedStaticProgramBeginsAtItsSecondInstruction) {
  const Module module = program(UNWIND_STATIC_STRIPPED);
  ASSERT_NE(module.elf, nullptr);
  const auto places = loader_places({module}, module.elf->entry());
  ASSERT_EQ(places.size(), 1u);
  EXPECT_EQ(places[0].function, "__libc_start_main");
  const auto bytes = module.elf->at(module.elf->entry(), 2);
  // xor %ebp,%ebp
  EXPECT_EQ(bytes[0], std::byte{0x31});
  EXPECT_EQ(bytes[1], std::byte{0xed});
  EXPECT_EQ(places[0].address, module.elf->entry() + 2);
}

}  // namespace
}  // namespace heapledger
