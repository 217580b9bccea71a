// SPDX-License-Identifier: Apache-2.0
#include "plugin/module_history.h"

#include <algorithm>

#include "plugin/sb_text.h"

namespace heapledger {
namespace {

constexpr std::size_t kMost = 4096;  // a program that loads plugins in a loop

bool same_file(const std::string& a, const std::string& b) {
  return a == b || a.substr(a.rfind('/') + 1) == b.substr(b.rfind('/') + 1);
}

}  // namespace

AddressRange loaded_range(lldb::SBModule& module, lldb::SBTarget& target) {
  AddressRange range{~Address{0}, 0};
  for (std::size_t i = 0; i < module.GetNumSections(); ++i) {
    lldb::SBSection section = module.GetSectionAtIndex(i);
    const Address begin = section.GetLoadAddress(target);
    if (begin == LLDB_INVALID_ADDRESS) continue;
    range.begin = std::min(range.begin, begin);
    range.end = std::max(range.end, begin + section.GetByteSize());
  }
  return range;
}

std::optional<Address> bias_of(lldb::SBModule& module, lldb::SBTarget& target) {
  for (std::size_t i = 0; i < module.GetNumSections(); ++i) {
    lldb::SBSection section = module.GetSectionAtIndex(i);
    const Address loaded = section.GetLoadAddress(target);
    if (loaded != LLDB_INVALID_ADDRESS) return loaded - section.GetFileAddress();
  }
  return std::nullopt;
}

void ModuleHistory::note(lldb::SBTarget target) {
  for (std::uint32_t i = 0; i < target.GetNumModules(); ++i) {
    lldb::SBModule module = target.GetModuleAtIndex(i);
    const auto bias = bias_of(module, target);
    if (!bias) continue;
    const auto known = std::find_if(seen_.begin(), seen_.end(),
                                    [&](Seen& s) { return s.bias == *bias && s.module == module; });
    // The last one to cover an address is the one that is there.
    if (known != seen_.end()) {
      std::rotate(known, known + 1, seen_.end());
      continue;
    }
    if (seen_.size() == kMost) seen_.erase(seen_.begin());
    seen_.push_back({module, path_of(module.GetFileSpec()), *bias, loaded_range(module, target)});
  }
}

void ModuleHistory::clear() { seen_.clear(); }

const ModuleHistory::Seen* ModuleHistory::find(const std::string& path, Address bias) const {
  const auto found = std::find_if(seen_.rbegin(), seen_.rend(), [&](const Seen& s) {
    return s.bias == bias && same_file(s.path, path);
  });
  return found == seen_.rend() ? nullptr : &*found;
}

const ModuleHistory::Seen* ModuleHistory::find(Address address) const {
  const auto found = std::find_if(seen_.rbegin(), seen_.rend(),
                                  [&](const Seen& s) { return s.range.contains(address); });
  return found == seen_.rend() ? nullptr : &*found;
}

}  // namespace heapledger
