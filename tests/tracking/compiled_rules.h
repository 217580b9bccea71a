// SPDX-License-Identifier: Apache-2.0
//
// Unwind rules for tests: compiled from a file, and each in words, "sp +16 rbp@-16".
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <iterator>
#include <memory>
#include <string>

#include "agent/protocol.h"
#include "tracking/unwind_rules.h"

namespace heapledger {

inline std::string text(const agent::RuleBody& body) {
  static const char* const kNames[] = {"none",   "sp",  "bp",       "end",
                                       "signal", "plt", "bp_deref", "bad"};
  std::string out = body.type < std::size(kNames) ? kNames[body.type] : "?";
  if (body.cfa != 0) out += fmt::format(" {:+}", body.cfa);
  if (body.bp != 0) out += fmt::format(" rbp@{:+}", 8 * body.bp);
  return out;
}

inline std::shared_ptr<const ElfFile> open(const std::string& path) {
  auto elf = ElfFile::open(path);
  EXPECT_TRUE(elf) << (elf ? "" : elf.error().message);
  return elf ? *elf : nullptr;
}

inline UnwindTable compile(const ElfFile& elf) {
  auto table = compile_unwind_rules(elf);
  EXPECT_TRUE(table) << (table ? "" : table.error().message);
  return table ? *table : UnwindTable{};
}

}  // namespace heapledger
