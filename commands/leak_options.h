// SPDX-License-Identifier: Apache-2.0
//
// What `leaks` and `leaks at-exit` have in common: how the scan is shown.
#pragma once

#include <vector>

#include "commands/arguments.h"
#include "commands/context.h"
#include "commands/output.h"
#include "report/leaks.h"

namespace heapledger {

struct LeakOptions {
  VerdictSet show;
  std::optional<std::size_t> limit;
  bool addresses = false;
  LeaderRule leader = LeaderRule::exact;
};

// --show-kinds, --limit, --addresses, --leader, --format, --output.
std::vector<OptionSpec> leak_option_specs();
Result<LeakOptions> leak_options(const Arguments& arguments);

// Writes the report of a scan that was made with options.leader.
void write_leaks(Context& context, const ProcessScan& scan, const Ledger& ledger,
                 const LeakOptions& options, bool at_exit, bool json, const Sink& out);

}  // namespace heapledger
