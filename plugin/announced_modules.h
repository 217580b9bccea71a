// SPDX-License-Identifier: Apache-2.0
//
// ELF images of ours that LLDB is told of, so that backtraces through them have names and call
// frame information. LLDB takes modules from files only; these exist in memory (memfd), and LLDB
// calls a module after its path's last component, a number.
#pragma once

#include <lldb/API/LLDB.h>

#include <span>
#include <string>
#include <vector>

#include "inferior/address.h"
#include "inferior/result.h"

namespace heapledger {

class AnnouncedModules {
 public:
  AnnouncedModules() = default;
  AnnouncedModules(const AnnouncedModules&) = delete;
  AnnouncedModules& operator=(const AnnouncedModules&) = delete;
  ~AnnouncedModules();

  Result<void> add(lldb::SBTarget& target, std::span<const std::byte> elf, Address base,
                   const std::string& name);
  void remove_all(lldb::SBTarget& target);
  // What a module of ours was announced as; empty when it is none.
  std::string name_of(const lldb::SBModule& module) const;

 private:
  struct One {
    int file;
    lldb::SBModule module;
    std::string name;
  };
  std::vector<One> modules_;
};

}  // namespace heapledger
