// SPDX-License-Identifier: Apache-2.0
//
// Every module LLDB has shown for a process, with the place it was loaded at. LLDB forgets a
// library on dlclose, and all of them when the process ends; stacks of the ledger still lead there.
#pragma once

#include <lldb/API/LLDB.h>

#include <optional>
#include <string>
#include <vector>

#include "inferior/address.h"

namespace heapledger {

// Run-time address minus link-time address of a loaded module.
std::optional<Address> bias_of(lldb::SBModule& module, lldb::SBTarget& target);
// From its lowest to its highest loaded section.
AddressRange loaded_range(lldb::SBModule& module, lldb::SBTarget& target);

class ModuleHistory {
 public:
  struct Seen {
    lldb::SBModule module;
    std::string path;
    Address bias = 0;
    AddressRange range;
  };

  // To be called whenever modules may have changed.
  void note(lldb::SBTarget target);
  void clear();

  // The module of that path at that place.
  const Seen* find(const std::string& path, Address bias) const;
  // The module that covered the address last.
  const Seen* find(Address address) const;

 private:
  std::vector<Seen> seen_;  // oldest first
};

}  // namespace heapledger
