// SPDX-License-Identifier: Apache-2.0
//
// Answers as objects: the reports' JSON (report/), whose keys are fixed, in types a script can read
// without knowing it.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace heapledger {

struct FrameAnswer {
  std::string function, file, module;
  std::uint64_t line = 0, offset = 0, address = 0;
  bool inlined = false;
};

struct BlockAnswer {
  std::uint64_t address = 0, size = 0;
  std::string kind;
  std::uint64_t thread = 0;
  std::optional<std::uint64_t> age_ms;
  std::vector<FrameAnswer> stack;
};

struct StackAnswer {  // outstanding allocations of one call stack
  std::uint64_t bytes = 0, count = 0;
  std::vector<FrameAnswer> frames;
  std::vector<BlockAnswer> blocks;
};

struct TotalAnswer {
  std::uint64_t bytes = 0, blocks = 0;
};

struct RecordAnswer {
  std::string kind;
  std::uint64_t bytes = 0, blocks = 0, indirect_bytes = 0, indirect_blocks = 0;
  std::vector<FrameAnswer> stack;
  std::vector<BlockAnswer> members;  // address and size only
};

struct LeaksAnswer {
  TotalAnswer definitely_lost, indirectly_lost, possibly_lost, still_reachable, suppressed;
  std::vector<RecordAnswer> records;
  std::vector<std::string> notes;
  bool complete = false;
};

struct LinkAnswer {  // one pointer of a chain
  std::string root;  // what the root is called; empty: the pointer is in a block
  std::optional<BlockAnswer> block;
  std::uint64_t offset = 0;
  std::string expression;
  std::uint64_t value = 0, target = 0;
};

struct OwnersAnswer {
  std::uint64_t address = 0;
  std::string what, kind, description;
  std::optional<BlockAnswer> block;
  std::vector<LinkAnswer> chain, other_roots, other_blocks;
};

std::vector<StackAnswer> stacks_of(const std::string& json);
LeaksAnswer leaks_of(const std::string& json);
OwnersAnswer owners_of(const std::string& json);

void bind_answers(pybind11::module_& module);

}  // namespace heapledger
