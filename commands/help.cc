// SPDX-License-Identifier: Apache-2.0
//
// leaks help: every command in a line, or one command in full.
#include "commands/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

namespace heapledger {
namespace {

constexpr std::size_t kWidth = 100;

// The usage line, broken between options and continued under the first of them.
std::string wrapped_usage(const Command& command) {
  std::string text = "Syntax: ";
  const std::size_t indent = text.size() + (command.name.empty() ? 6 : 7 + command.name.size());
  std::size_t column = text.size();
  std::string line = usage(command);
  std::size_t begin = 0;
  while (begin < line.size()) {
    // A word ends at a space outside brackets.
    std::size_t end = begin;
    for (int depth = 0; end < line.size() && (line[end] != ' ' || depth > 0); ++end) {
      depth += line[end] == '[' ? 1 : line[end] == ']' ? -1 : 0;
    }
    const std::string word = line.substr(begin, end - begin);
    if (column + word.size() > kWidth) {
      text += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (begin != 0) {
      text += ' ';
      ++column;
    }
    text += word;
    column += word.size();
    begin = end + 1;
  }
  return text + "\n";
}

std::string option_lines(const Command& command) {
  std::size_t width = 0;
  const auto left = [](const OptionSpec& o) {
    return o.value.empty() ? o.name : o.name + " " + o.value;
  };
  for (const OptionSpec& option : command.options) width = std::max(width, left(option).size());
  std::string text = "\nOptions:\n";
  for (const OptionSpec& option : command.options) {
    text += fmt::format("  {:<{}}", left(option), width);
    std::size_t column = width + 2;
    std::istringstream words(option.help);
    for (std::string word; words >> word; column += word.size()) {
      const bool fits = column == width + 2 || column + 1 + word.size() <= kWidth;
      text += fits ? (column == width + 2 ? "  " : " ") : "\n" + std::string(width + 4, ' ');
      column = fits ? column + (column == width + 2 ? 2 : 1) : width + 4;
      text += word;
    }
    text += '\n';
  }
  return text;
}

Result<void> run(Context& context, const Arguments& arguments) {
  if (!arguments.positional()) {
    context.target.out(help_overview());
    return {};
  }
  const auto command = find_command(*arguments.positional());
  if (!command) return tl::unexpected(command.error());
  context.target.out(help_page(**command));
  return {};
}

}  // namespace

std::string help_overview() {
  std::size_t width = 0;
  const auto shown = [](const Command& c) { return c.name.empty() ? "leaks" : "leaks " + c.name; };
  for (const Command& command : commands()) width = std::max(width, shown(command).size());
  std::string text = "Finds memory leaks in the process being debugged.\n\n";
  for (const Command& command : commands()) {
    text += fmt::format("  {:<{}} -- {}\n", shown(command), width, command.summary);
  }
  return text +
         "\nA command may be shortened as long as it stays unique: `leaks to 5` is `leaks top 5`.\n"
         "`leaks help COMMAND` tells its options. Children after fork are not tracked, and the hooks\n"
         "do nothing in them.\n";
}

std::string help_page(const Command& command) {
  std::string summary = command.summary;
  if (!summary.empty()) summary[0] = char(summary[0] >= 'a' ? summary[0] - 32 : summary[0]);
  std::string text = summary + ".\n\n" + wrapped_usage(command) + "\n" + command.text;
  if (!command.options.empty()) text += option_lines(command);
  if (!command.examples.empty()) {
    text += command.examples.size() == 1 ? "\nExample:\n" : "\nExamples:\n";
    for (const std::string& example : command.examples) text += "  " + example + "\n";
  }
  return text;
}

Command help_command() {
  return {
      .name = "help",
      .summary = "list the commands, or tell about one",
      .text = "Without an argument: every command in one line.\n",
      .positional = PositionalSpec{"COMMAND", false, "the name of a command"},
      .examples = {"leaks help top"},
      .run = run,
  };
}

}  // namespace heapledger
