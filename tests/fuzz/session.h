// SPDX-License-Identifier: Apache-2.0
//
// A session about a made-up process, for fuzz targets that go as far as the user's answers.
#pragma once

#include <string>
#include <vector>

#include "commands/context.h"
#include "commands/dispatch.h"
#include "tests/fuzz/input.h"
#include "tests/report/fake_target.h"

namespace heapledger::fuzz {

// What the user gets: text, or one line that says what is wrong.
inline std::string answer(Context& context, testing::FakeTarget& target,
                          const std::vector<std::string>& words) {
  target.printed.clear();
  const auto done = run_command(context, words);
  if (done) return target.printed;
  require(!done.error().message.empty());
  return done.error().message;
}

inline Mapping memory_mapping(Address begin, std::uint64_t size, std::string name = "") {
  return {.range = {begin, begin + size}, .readable = true, .writable = true, .name = std::move(name)};
}

}  // namespace heapledger::fuzz
