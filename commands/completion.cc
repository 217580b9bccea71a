// SPDX-License-Identifier: Apache-2.0
#include "commands/completion.h"

#include <algorithm>

#include "commands/registry.h"

namespace heapledger {
namespace {

using Words = std::vector<std::string>;

Words beginning_with(const Words& candidates, const std::string& beginning) {
  Words result;
  for (const std::string& candidate : candidates) {
    if (candidate.starts_with(beginning)) result.push_back(candidate);
  }
  return result;
}

Words command_words() {
  Words names;
  for (const Command& command : commands()) {
    if (!command.name.empty()) names.push_back(command.name);
  }
  return names;
}

Words after_command(const Command& command, std::span<const std::string> words) {
  const std::string& last = words.back();
  if (words.size() > 1) {
    for (const OptionSpec& option : command.options) {
      if (option.name == words[words.size() - 2] && !option.value.empty()) {
        return beginning_with(option.choices, last);
      }
    }
  }
  Words candidates;
  if (command.name == "help") candidates = command_words();
  if (command.positional) {
    candidates.insert(candidates.end(), command.positional->choices.begin(),
                      command.positional->choices.end());
  }
  // Options are offered once a dash is typed, or when nothing else fits.
  if (last.starts_with("-") || candidates.empty()) {
    for (const OptionSpec& option : command.options) candidates.push_back(option.name);
  }
  return beginning_with(candidates, last);
}

}  // namespace

std::vector<std::string> completions(std::span<const std::string> words) {
  if (words.empty()) return command_words();
  if (words.front().starts_with("-")) {
    const auto bare = std::find_if(commands().begin(), commands().end(),
                                   [](const Command& c) { return c.name.empty(); });
    return bare == commands().end() ? Words() : after_command(*bare, words);
  }
  if (words.size() == 1) return beginning_with(command_words(), words.front());
  const auto command = find_command(words.front());
  return command ? after_command(**command, words.subspan(1)) : Words();
}

}  // namespace heapledger
