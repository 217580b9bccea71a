// SPDX-License-Identifier: Apache-2.0
#include "plugin/announced_modules.h"

#include <unistd.h>

#include <algorithm>

#include "inferior/file_in_memory.h"
#include "plugin/liblldb.h"
#include "plugin/sb_text.h"

namespace heapledger {
namespace {

// LLDB 14 and 16 have it with a signed offset only.
lldb::SBError set_load_address(lldb::SBTarget& target, lldb::SBModule module, Address base) {
  if (has("_ZN4lldb8SBTarget20SetModuleLoadAddressENS_8SBModuleEm")) {
    return target.SetModuleLoadAddress(module, std::uint64_t{base});
  }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  return target.SetModuleLoadAddress(module, std::int64_t(base));
#pragma GCC diagnostic pop
}

}  // namespace

AnnouncedModules::~AnnouncedModules() {
  for (const One& one : modules_) close(one.file);
}

Result<void> AnnouncedModules::add(lldb::SBTarget& target, std::span<const std::byte> elf,
                                   Address base, const std::string& name) {
  const auto file = file_in_memory(elf, name);
  if (!file) return fail("cannot announce {}: {}", name, file.error().message);
  const std::string path = fmt::format("/proc/{}/fd/{}", getpid(), *file);
  lldb::SBModule module = target.AddModule(path.c_str(), nullptr, nullptr);
  if (!module.IsValid()) {
    close(*file);
    return fail("cannot announce {}: LLDB does not take it for a module", name);
  }
  modules_.push_back({*file, module, name});
  const lldb::SBError error = set_load_address(target, module, base);
  if (error.Fail()) return fail("cannot announce {} at {:#x}: {}", name, base, first_line(error));
  return {};
}

// LLDB keeps a module in a global list as long as somebody holds it, and would take it for the next
// file of the same path.
void AnnouncedModules::remove_all(lldb::SBTarget& target) {
  if (modules_.empty()) return;
  for (One& one : modules_) {
    target.ClearModuleLoadAddress(one.module);
    target.RemoveModule(one.module);
    one.module.Clear();
    close(one.file);
  }
  modules_.clear();
  lldb::SBModule::GarbageCollectAllocatedModules();
}

std::string AnnouncedModules::name_of(const lldb::SBModule& module) const {
  const auto found = std::find_if(modules_.begin(), modules_.end(),
                                  [&](const One& one) { return one.module == module; });
  return found == modules_.end() ? "" : found->name;
}

}  // namespace heapledger
