// SPDX-License-Identifier: Apache-2.0
//
// leaks who-owns: the chain of pointers that keeps a block alive.
#include <fmt/format.h>

#include "commands/output.h"
#include "commands/registry.h"
#include "report/ledger_coverage.h"
#include "report/ownership.h"

namespace heapledger {
namespace {

// A debugger's message may have several lines and begin with "error: ".
std::string first_line(std::string message) {
  message = message.substr(0, message.find('\n'));
  constexpr std::string_view kPrefix = "error: ";
  while (message.starts_with(kPrefix)) message.erase(0, kPrefix.size());
  return message;
}

constexpr std::size_t kAddressDigits = 6;  // fewer letters are no address but a misspelt variable

// An address when it begins like a number; else what the debugger makes of it, so that a variable
// called `decade` is not taken for one.
Result<TypedAddress> address_of(Target& target, const std::string& text) {
  const auto typed = parse_address(text);
  const bool number_like = text[0] >= '0' && text[0] <= '9';
  if (typed && number_like) return *typed;
  const auto value = target.evaluate(text);
  if (value) return TypedAddress{*value, std::nullopt};
  if (typed && text.size() >= kAddressDigits) return *typed;
  return fail("cannot evaluate '{}': {}", text, first_line(value.error().message));
}

Result<void> run(Context& context, const Arguments& arguments) {
  const auto ledger = context.ledger();
  if (!ledger) return tl::unexpected(ledger.error());
  // Before the expression: a debugger leaves its value in memory that it maps into the process, where
  // it would be an owner.
  const auto scan = context.scan();
  if (!scan) return tl::unexpected(scan.error());
  const auto typed = address_of(context.target, *arguments.positional());
  if (!typed) return tl::unexpected(typed.error());
  auto output = Output::open(context.target, arguments);
  if (!output) return tl::unexpected(output.error());

  Address address = typed->value;
  const Scan& blocks = (*scan)->scan;
  if (typed->decimal && !blocks.find(address) && blocks.find(*typed->decimal)) {
    address = *typed->decimal;
  }
  OwnerOptions options;
  if (arguments.has("--all")) options.max_holders = SIZE_MAX;
  const Ownership ownership = who_owns(**scan, **ledger, context.target, address, options);
  const LedgerCoverage coverage = context.coverage(**ledger);
  std::vector<std::string> notes = describe(blocks.coverage());
  if (std::string note = stopped_note(coverage); !note.empty()) notes.push_back(std::move(note));
  FrameResolver frames = context.frame_resolver();
  output->sink()(output->json()
                     ? json_text(ownership_json(ownership, **scan, **ledger, frames)) + "\n"
                     : ownership_text(ownership, **scan, **ledger, coverage, frames) +
                           note_lines(notes));
  return output->finish();
}

}  // namespace

Command who_owns_command() {
  return {
      .name = "who-owns",
      .summary = "tell what keeps a block alive: the chain of pointers to it",
      .text =
          "Shows the shortest chain of pointers from a variable, a register or another place the\n"
          "program can get at to the block that contains the address, and who else holds it. Every\n"
          "pointer of the chain is an expression the debugger can evaluate. For a lost block: which\n"
          "lost blocks point to it, and the head of its group. For an address in no block: what it\n"
          "is. The address may be any expression of the debugger.\n",
      .options = {{"--all", "", "list every holder"}, format_option(), output_option()},
      .positional =
          PositionalSpec{"ADDR|EXPRESSION", true,
                         "an address such as 0x7f8f70863220, or an expression", {}, true},
      .examples = {"leaks who-owns 0x7f8f70863220", "leaks who-owns node->next --all"},
      .run = run,
  };
}

}  // namespace heapledger
