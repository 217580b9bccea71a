// SPDX-License-Identifier: Apache-2.0
//
// A session about a fake process, and what a user sees of it.
#pragma once

#include <gtest/gtest.h>

#include <regex>
#include <sstream>

#include "commands/context.h"
#include "commands/dispatch.h"
#include "tests/report/ledger_image.h"

namespace heapledger::testing {

class CommandTest : public ::testing::Test {
 protected:
  static std::vector<std::string> split(const std::string& line) {
    std::istringstream stream(line);
    return {std::istream_iterator<std::string>(stream), {}};
  }
  // Output of a command that must succeed.
  std::string out(const std::string& line) {
    target.printed.clear();
    const auto done = run_command(context, split(line));
    return done ? target.printed : "error: " + done.error().message;
  }
  // The error of a command that must fail and print nothing.
  std::string error(const std::string& line) {
    target.printed.clear();
    const auto done = run_command(context, split(line));
    return done || !target.printed.empty() ? "no error: " + target.printed : done.error().message;
  }
  // The ledger of the process from now on.
  void track(LedgerImage& image) {
    image.install(target.memory_);
    context.forget_ledger();
    context.tracked_from_start = true;
    context.read_ledger = [this] { return Ledger::read(target.memory_, LedgerImage::kState); };
  }

  FakeTarget target;
  Context context{target, target};
};

}  // namespace heapledger::testing
