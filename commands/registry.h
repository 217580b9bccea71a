// SPDX-License-Identifier: Apache-2.0
//
// The table of commands: what each is called, takes and does. One file per command defines a
// Command; registry.cc lists them. Help, completion and dispatch read this table and nothing else.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "commands/arguments.h"
#include "commands/context.h"
#include "inferior/result.h"

namespace heapledger {

struct Command {
  std::string name;     // what is typed after "leaks"; empty: `leaks` alone
  std::string summary;  // one line, no full stop
  std::string text;     // what help says of it, whole lines
  std::vector<OptionSpec> options;
  std::optional<PositionalSpec> positional;
  std::vector<std::string> examples;
  Result<void> (*run)(Context&, const Arguments&);
};

// In the order help shows them.
std::span<const Command> commands();

// A name or a unique beginning of one. The Error names the candidates.
Result<const Command*> find_command(std::string_view name);

// "leaks top [N] [--sort size|count|age] ..."
std::string usage(const Command& command);

// One function per file of this folder.
Command at_exit_command();
Command auto_command();
Command block_command();
Command help_command();
Command roots_command();
Command scan_command();
Command start_command();
Command status_command();
Command stop_command();
Command top_command();
Command verdict_command();
Command who_owns_command();

}  // namespace heapledger
