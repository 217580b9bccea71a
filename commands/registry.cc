// SPDX-License-Identifier: Apache-2.0
#include "commands/registry.h"

#include <fmt/format.h>

#include <algorithm>

#include "commands/spelling.h"

namespace heapledger {
namespace {

std::string unknown(std::string_view name) {
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (!command.name.empty()) names.push_back(command.name);
  }
  const auto word = meant(name, names);
  return fmt::format("unknown command '{}'{}: `leaks help` lists them", name,
                     word ? fmt::format(", did you mean {}", *word) : "");
}

}  // namespace

std::span<const Command> commands() {
  static const std::vector<Command> table = {
      scan_command(),  top_command(),     who_owns_command(), block_command(),
      roots_command(), start_command(),   stop_command(),     auto_command(),
      status_command(), at_exit_command(), verdict_command(),  help_command(),
  };
  return table;
}

Result<const Command*> find_command(std::string_view name) {
  std::vector<const Command*> candidates;
  for (const Command& command : commands()) {
    if (command.name == name) return &command;
    if (!command.name.empty() && command.name.starts_with(name)) candidates.push_back(&command);
  }
  if (candidates.size() == 1) return candidates.front();
  if (candidates.empty()) return fail("{}", unknown(name));
  std::vector<std::string> names;
  for (const Command* candidate : candidates) names.push_back(candidate->name);
  std::sort(names.begin(), names.end());
  return fail("ambiguous command '{}': {}", name, fmt::join(names, ", "));
}

std::string usage(const Command& command) {
  std::string text = command.name.empty() ? "leaks" : "leaks " + command.name;
  if (command.positional) {
    const PositionalSpec& place = *command.positional;
    const std::string name =
        place.choices.empty() ? place.name : fmt::format("{}", fmt::join(place.choices, "|"));
    text += place.required ? " " + name : " [" + name + "]";
  }
  for (const OptionSpec& option : command.options) {
    text += " [" + option.name;
    if (!option.value.empty()) text += " " + option.value;
    text += option.repeated ? "]..." : "]";
  }
  return text;
}

}  // namespace heapledger
