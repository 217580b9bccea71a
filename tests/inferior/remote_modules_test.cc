// SPDX-License-Identifier: Apache-2.0
#include "inferior/target_modules.h"

#include <gtest/gtest.h>
#include <link.h>
#include <search.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "inferior/local_memory.h"
#include "tests/report/fake_target.h"

using namespace heapledger;

namespace {

// This process, seen as if it were on another machine: nothing but memory and the loader's own list.
class RemoteSelf final : public heapledger::testing::FakeTarget {
 public:
  RemoteSelf() {
    kind_ = ProcessKind::live_remote;
    pid_ = 1;  // somebody else's here
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* list) {
          const std::string name = info->dlpi_name;
          static_cast<std::vector<LoadedModule>*>(list)->push_back(
              {name.empty() ? "/proc/self/exe" : name, info->dlpi_addr, name.empty()});
          return 0;
        },
        &modules);
  }
  const Memory& memory() override { return own_; }
  std::vector<LoadedModule> loaded_modules() override { return modules; }

  std::vector<LoadedModule> modules;

 private:
  LocalMemory own_{std::uint64_t(getpid())};
};

const Module* holding(const std::vector<Module>& modules, const void* code) {
  return find_module(modules, reinterpret_cast<Address>(code));
}

TEST(RemoteModules, AreTheDebuggersWithWhatTheirFilesSay) {
  RemoteSelf target;
  const auto modules = read_modules(target, {});
  ASSERT_TRUE(modules.has_value());
  const auto* code = reinterpret_cast<const void*>(&tfind);  // no sanitizer intercepts it
  const Module* libc = holding(*modules, code);
  ASSERT_NE(libc, nullptr);
  EXPECT_EQ(libc->name, "libc.so.6");
  EXPECT_TRUE(libc->code.contains(reinterpret_cast<Address>(code)));
  EXPECT_FALSE(libc->is_program);
  EXPECT_FALSE(libc->elf->functions("malloc").empty());
  const Module* program = holding(*modules, reinterpret_cast<const void*>(&holding));
  ASSERT_NE(program, nullptr);
  EXPECT_TRUE(program->is_program);
}

TEST(RemoteModules, AFileThatIsNotWhatIsInMemoryThereIsLeftOut) {
  RemoteSelf target;
  for (LoadedModule& module : target.modules) module.bias += 4096;
  target.modules.push_back({"/nonexistent/libfoo.so", 0x7f0000000000, false});
  const auto modules = read_modules(target, {});
  ASSERT_TRUE(modules.has_value());
  EXPECT_TRUE(modules->empty());
}

}  // namespace
