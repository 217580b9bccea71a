// SPDX-License-Identifier: Apache-2.0
//
// Who owns a block: the shortest chain from a named root to it, its other holders, and - for an
// address that is in no block - what is there. Reads the target at the stop the scan was made at.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/analysis.h"
#include "analysis/process_scan.h"
#include "inferior/target.h"
#include "tracking/ledger.h"

namespace heapledger {

// A place that is no block, named as well as the debugger can.
struct PlaceName {
  RootKind kind = RootKind::mapping;
  std::string text;          // "g_server+8 [app]", "thread 2 frame 3 parse() `s`", "thread 2 rbx" ...
  std::uint64_t tid = 0;     // of stacks, TLS, registers
  std::uint32_t thread_index = 0;
  std::optional<std::uint32_t> frame;  // of stacks
  std::string function;      // of that frame
  std::string variable;      // local variable, empty: unknown
  std::string symbol;        // global or thread-local variable, register; empty: unknown
  std::uint64_t offset = 0;  // in bytes, from the variable, the symbol or the mapping's begin
  std::string module;
  std::string file;
  std::uint32_t line = 0;
};

struct OwnerLink {           // one pointer of a chain
  Reference reference;
  BlockIndexNumber target = 0;     // the block it points to
  std::uint64_t holder_offset = 0;  // of the slot in the block that holds it; 0 for roots
  std::uint64_t target_offset = 0;  // of the value in the target: 0 is a start pointer
  Heuristic heuristic = Heuristic::none;
  std::string expression;    // the debugger evaluates it to the value: "*(void**)(0x5580...+24)"
  std::optional<PlaceName> place;   // of roots
};

struct LostGroup {
  BlockIndexNumber head = 0;
  Total led;                 // what the head leads to
};

struct Ownership {
  enum class What : std::uint8_t {
    block, stack, dead_stack, module_data, code, heap, own_memory, mapping, unmapped
  };
  What what = What::unmapped;
  Address address = 0;
  // What::block.
  std::optional<BlockIndexNumber> block;
  Verdict verdict = Verdict::still_reachable;
  std::vector<OwnerLink> chain;         // root first; empty for lost blocks
  std::vector<OwnerLink> other_roots;   // other words of roots that point into the block, named
  std::vector<OwnerLink> other_blocks;  // other blocks that do (for lost blocks: who points at it)
  std::uint64_t more_holders = 0;       // not listed because of the limit
  std::optional<LostGroup> group;       // lost blocks
  // Everything else: "stack of thread 3, frame 2 parse()", "freed or never allocated heap memory".
  std::string description;
  std::optional<PlaceName> place;
};

struct OwnerOptions {
  std::size_t max_holders = 16;
};

Ownership who_owns(const ProcessScan& scan, const Ledger& ledger, Target& target, Address address,
                   const OwnerOptions& options = {});

// Names the place of a root word or any other address that is in no block.
PlaceName name_place(const Scan& scan, Target& target, const Reference& reference);

}  // namespace heapledger
