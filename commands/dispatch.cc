// SPDX-License-Identifier: Apache-2.0
#include "commands/dispatch.h"

#include <algorithm>

#include "commands/help.h"
#include "commands/registry.h"

namespace heapledger {
namespace {

bool asks_for_help(const std::string& word) { return word == "--help" || word == "-h"; }

}  // namespace

Result<void> run_command(Context& context, std::span<const std::string> words) {
  if (!words.empty() && asks_for_help(words.front())) {
    context.target.out(help_overview());
    return {};
  }
  // `leaks` alone, or with options only, is the command without a name.
  const bool bare = words.empty() || words.front().starts_with("-");
  const auto command = find_command(bare ? "" : words.front());
  if (!command) return tl::unexpected(command.error());
  const auto rest = bare ? words : words.subspan(1);
  if (std::any_of(rest.begin(), rest.end(), asks_for_help)) {
    context.target.out(help_page(**command));
    return {};
  }
  const auto arguments = Arguments::parse((*command)->options, (*command)->positional, rest);
  if (!arguments) return tl::unexpected(arguments.error());
  return (*command)->run(context, *arguments);
}

}  // namespace heapledger
