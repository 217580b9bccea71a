// SPDX-License-Identifier: Apache-2.0
//
// All code a process ever ran, by address and time: which module covered a range, and which others
// did before (incarnations). Keeps the unwind rules of what is loaded now.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/protocol.h"
#include "inferior/modules.h"
#include "tracking/unwind_rules.h"

namespace heapledger {

// Compiled rules are kept per ELF file, also when it is not loaded: a second run needs none.
std::shared_ptr<const UnwindTable> unwind_table_of(const std::shared_ptr<const ElfFile>& elf);

struct CodeRange {
  AddressRange range;       // executable bytes
  Address bias = 0;
  std::string path;
  std::shared_ptr<const ElfFile> elf;        // null: it could not be read, or is loaded no more for long
  std::shared_ptr<const UnwindTable> rules;  // may be null: none known
  std::uint32_t incarnation = 0;
  bool loaded = true;
  bool own = false;         // the agent's image or an island
};

class CodeMap {
 public:
  struct Change {
    std::vector<const Module*> added;      // point into the list passed to update
    std::vector<AddressRange> removed;     // module ranges that are gone
    bool empty() const { return added.empty() && removed.empty(); }
  };
  // Compares with the modules mapped now.
  Change update(const std::vector<Module>& modules);
  // Code of our own (image, islands) with its rules.
  void add_own(AddressRange range, Address bias, std::shared_ptr<const UnwindTable> rules,
               const std::string& name);
  void clear() { ranges_.clear(); }

  std::vector<const CodeRange*> loaded() const;  // sorted by address
  const CodeRange* find(Address pc, std::uint32_t incarnation) const;
  const CodeRange* loaded_at(Address pc) const;

 private:
  void forget_old_files();
  std::vector<CodeRange> ranges_;
};

}  // namespace heapledger
