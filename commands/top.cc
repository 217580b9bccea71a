// SPDX-License-Identifier: Apache-2.0
//
// leaks top: the call stacks with the most memory outstanding.
#include <fmt/format.h>

#include <ctime>

#include "commands/output.h"
#include "commands/registry.h"
#include "report/outstanding.h"

namespace heapledger {
namespace {

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec);
}

Result<std::size_t> limit_of(const Arguments& arguments) {
  if (!arguments.positional()) return 10;
  const auto number = parse_number(*arguments.positional());
  if (number && *number > 0) return std::size_t(*number);
  return fail("N must be a number of stacks from 1 up, not '{}'", *arguments.positional());
}

OutstandingOrder order_of(const Arguments& arguments) {
  const std::string name = arguments.value("--sort").value_or("size");
  if (name == "count") return OutstandingOrder::count;
  return name == "age" ? OutstandingOrder::age : OutstandingOrder::size;
}

struct Selection {
  OutstandingFilter filter;
  std::string words;  // the options it came from
};

Result<Selection> selection_of(const Arguments& arguments) {
  Selection result;
  const auto older = arguments.number("--older");
  if (!older) return tl::unexpected(older.error());
  const auto min_size = arguments.bytes("--min-size");
  if (!min_size) return tl::unexpected(min_size.error());
  const auto max_size = arguments.bytes("--max-size");
  if (!max_size) return tl::unexpected(max_size.error());
  result.filter.older_ms = *older;
  result.filter.list = arguments.has("--addresses");
  result.filter.min_size = min_size->value_or(0);
  result.filter.max_size = max_size->value_or(UINT64_MAX);
  if (result.filter.min_size > result.filter.max_size) {
    return fail("--min-size {} is larger than --max-size {}", result.filter.min_size,
                result.filter.max_size);
  }
  for (const char* option : {"--older", "--min-size", "--max-size"}) {
    if (const auto value = arguments.value(option)) {
      result.words += fmt::format("{}{} {}", result.words.empty() ? "" : " ", option, *value);
    }
  }
  return result;
}

Result<void> run(Context& context, const Arguments& arguments) {
  const auto limit = limit_of(arguments);
  if (!limit) return tl::unexpected(limit.error());
  const auto selection = selection_of(arguments);
  if (!selection) return tl::unexpected(selection.error());
  const auto ledger = context.ledger();
  if (!ledger) return tl::unexpected(ledger.error());
  auto output = Output::open(context.target, arguments);
  if (!output) return tl::unexpected(output.error());

  const OutstandingReport report{
      .ledger = **ledger,
      .groups = group_by_stack(**ledger, selection->filter, order_of(arguments), context.shapes(), *limit),
      .limit = *limit,
      .addresses = arguments.has("--addresses"),
      .filter = selection->words,
      .time = time_of_day(),
      .coverage = context.coverage(**ledger),
      .shapes = &context.shapes()};
  FrameResolver frames = context.frame_resolver();
  const auto write = output->json() ? write_outstanding_json : write_outstanding_text;
  write(report, frames, context.target, output->sink());
  return output->finish();
}

}  // namespace

Command top_command() {
  return {
      .name = "top",
      .summary = "show the call stacks with the most outstanding memory",
      .text =
          "Groups what is allocated and not yet released by the call stack that allocated it and\n"
          "shows the N largest groups (10 when N is not given), largest first. Sizes are the bytes\n"
          "the program asked for. Frames of the allocator itself are left out.\n"
          "\n"
          "What is listed is outstanding, not necessarily lost: a cache is outstanding too. A group\n"
          "that grows from stop to stop is what to look at.\n",
      .options =
          {{"--sort", "size|count|age", "largest, most or oldest first; size when not given",
            {"size", "count", "age"}},
           {"--older", "MS", "only allocations at least MS milliseconds old"},
           {"--min-size", "B", "only allocations of at least B bytes; 4k, 2M, 1G are understood"},
           {"--max-size", "B", "only allocations of at most B bytes"},
           {"--addresses", "", "list every allocation of a stack before it"},
           format_option(), output_option()},
      .positional = PositionalSpec{"N", false, "a number of stacks from 1 up"},
      .examples = {"leaks top 5", "leaks top --sort count --older 1000",
                   "leaks top 3 --addresses --min-size 4k",
                   "leaks top 100 --format json --output outstanding.json"},
      .run = run,
  };
}

}  // namespace heapledger
