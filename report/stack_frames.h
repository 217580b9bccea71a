// SPDX-License-Identifier: Apache-2.0
//
// From return addresses to the frames a person reads.
//
// A ledger's stack holds return addresses. The call is the instruction before one, so function and
// line are looked up at the address minus 1, while the offset that is shown is the return address's
// own, as bcc memleak shows it. (Where a signal arrived there was no call: that address is looked up
// as it is.) The innermost frames that are the allocator itself (operator new
// calling malloc) say nothing about who allocated and are cut.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "inferior/address.h"
#include "inferior/elf_file.h"
#include "inferior/target.h"
#include "tracking/tracker.h"

namespace heapledger {

// malloc's family, global operator new and what libc calls them inside; class-specific operators and
// std::allocator are not: they tell something about the caller.
bool is_allocator_function(std::string_view function);

class FrameResolver {
 public:
  // `agent_memory`: frames in there are cut. `origin` (Tracker::code_origin) tells of code whose
  // module is no longer loaded; may be empty.
  using Origin = std::function<std::optional<Tracker::CodeOrigin>(CodeAddress)>;
  FrameResolver(Target& target, std::vector<AddressRange> agent_memory, Origin origin = {});

  // Looks up every address of `stacks` that is not known yet, in batches, with progress. False when
  // the user interrupted: what was not looked up is then shown as bare addresses.
  bool prepare(std::span<const std::vector<CodeAddress>> stacks);

  // Frames, innermost first; SymbolFrame::address is the return address, offsets belong to it.
  // Allocator frames are cut, but never the last frame.
  std::vector<SymbolFrame> frames(const std::vector<CodeAddress>& stack) const;

 private:
  struct Hash {
    std::size_t operator()(const CodeAddress& a) const {
      return std::hash<Address>()(a.pc ^ Address(a.incarnation) << 48);
    }
  };
  struct Equal {
    bool operator()(const CodeAddress& a, const CodeAddress& b) const {
      return a.pc == b.pc && a.incarnation == b.incarnation && a.interrupted == b.interrupted;
    }
  };

  void look_up(std::span<const CodeAddress> addresses);
  void name_unloaded(CodeAddress address, std::vector<SymbolFrame>& frames);
  bool is_cut(const std::vector<SymbolFrame>& frames) const;

  Target& target_;
  std::vector<AddressRange> agent_memory_;
  Origin origin_;
  std::unordered_map<CodeAddress, std::vector<SymbolFrame>, Hash, Equal> known_;
};

}  // namespace heapledger
