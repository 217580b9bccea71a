// SPDX-License-Identifier: Apache-2.0
//
// leaks block: what is known of the block at or around an address.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "commands/output.h"
#include "commands/registry.h"
#include "inferior/printable.h"
#include "report/frame_format.h"
#include "report/numbers.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kNear = 64;  // bytes behind a block that are told as behind it

std::string line(std::string_view label, std::string_view words) {
  return fmt::format("{:<9} {}\n", fmt::format("{}:", label), words);
}

std::string mapping_words(const Mapping& mapping) {
  return fmt::format("{:#x}-{:#x} {}{}{}{}{}{}", mapping.range.begin, mapping.range.end,
                     mapping.readable ? 'r' : '-', mapping.writable ? 'w' : '-',
                     mapping.executable ? 'x' : '-', mapping.shared ? 's' : 'p',
                     mapping.name.empty() ? "" : " ", one_line(mapping.name));
}

// The block that ends at or shortly before an address that is in none.
std::optional<Block> block_before(const Ledger& ledger, Address address) {
  std::optional<Block> before;
  const auto recorded = ledger.recorded();
  const auto after = std::ranges::upper_bound(recorded, address, {},
                                              [](const Allocation& a) { return a.block.start; });
  if (after != recorded.begin()) before = after[-1].block;
  const auto untracked = ledger.untracked();
  const auto behind = std::ranges::upper_bound(untracked, address, {}, &Block::start);
  if (behind != untracked.begin() && (!before || behind[-1].start > before->start)) {
    before = behind[-1];
  }
  if (!before || address < before->range().end || address - before->range().end >= kNear) {
    return std::nullopt;
  }
  return before;
}

std::string thread_words(Context& context, std::uint32_t tid) {
  if (tid == 0) return "unknown";
  for (const ThreadState& thread : context.target.thread_positions()) {
    if (thread.tid == tid) return fmt::format("{} (thread {} of the debugger)", tid, thread.index);
  }
  return fmt::format("{} (not there any more)", tid);
}

std::string age_words(std::optional<std::uint64_t> age_ms) {
  return age_ms ? fmt::format("{} ms", *age_ms) : "not recorded";
}

std::string stack_lines(const std::vector<SymbolFrame>& frames, bool truncated) {
  if (frames.empty()) return line("stack", "<stack not recorded>");
  std::string text = "stack:\n";
  for (const SymbolFrame& frame : frames) text += fmt::format("\t\t{}\n", memleak_frame(frame));
  return truncated ? text + "\t\t<stack is incomplete>\n" : text;
}

// The verdict of the scan of this stop; why there is none as an Error.
Result<Verdict> verdict_of(Context& context, const Allocation& allocation) {
  if (allocation.mapped) return fail("mapped segments are roots");
  const auto scan = context.scan();
  if (!scan) return tl::unexpected(scan.error());
  const auto block = (*scan)->scan.find(allocation.block.start);
  if (!block) return fail("not among the scanned blocks");
  return (*scan)->scan.verdict(*block);
}

std::string class_words(const Result<Verdict>& verdict) {
  return verdict ? std::string(verdict_name(*verdict))
                 : fmt::format("none ({})", verdict.error().message);
}

std::string looks(Context& context, const Ledger& ledger, Address untracked_block) {
  const std::size_t number = *ledger.number_at(untracked_block) - ledger.recorded().size();
  return shape_words(context.shapes().shape(context.shapes().id_of(number)));
}

std::string block_text(Context& context, const Ledger& ledger, const Allocation& allocation,
                       Address address, const std::vector<SymbolFrame>& frames) {
  const Block& block = allocation.block;
  std::string text = line("block", fmt::format("{:#x}, {} bytes", block.start, block.size));
  text += line("address", address == block.start
                              ? fmt::format("{:#x}, its start", address)
                              : fmt::format("{:#x}, {} bytes inside", address,
                                            address - block.start));
  if (allocation.untracked) {
    text += line("kind", untracked_name(context.coverage(ledger)));
    text += line("looks", looks(context, ledger, allocation.block.start));
    return text + line("class", class_words(verdict_of(context, allocation)));
  }
  text += line("kind", allocation.mapped ? fmt::format("{} (mapped segment)",
                                                       kind_name(allocation.kind))
                                         : std::string(kind_name(allocation.kind)));
  text += line("class", class_words(verdict_of(context, allocation)));
  text += line("age", age_words(ledger.age_ms(allocation)));
  text += line("thread", thread_words(context, ledger.tid(allocation)));
  if (allocation.in_flight) text += line("note", "a realloc of it is in progress");
  return text + stack_lines(frames, allocation.truncated);
}

Json block_json(Context& context, const Ledger& ledger, const Allocation& allocation,
                Address address, const std::vector<SymbolFrame>& frames) {
  const auto verdict = verdict_of(context, allocation);
  const auto age = ledger.age_ms(allocation);
  return Json{{"kind", "block"},
              {"address", address},
              {"block",
               {{"address", allocation.block.start},
                {"size", allocation.block.size},
                {"offset", address - allocation.block.start},
                {"age_ms", age ? Json(*age) : Json(nullptr)},
                {"thread", ledger.tid(allocation)},
                {"kind", kind_name(allocation.kind)},
                {"class", verdict ? Json(verdict_name(*verdict)) : Json(nullptr)},
                {"mapped", bool(allocation.mapped)},
                {"in_flight", bool(allocation.in_flight)},
                {"incomplete", bool(allocation.truncated)},
                {"stack", frames_json(frames)}}}};
}

std::string stopped_line(const Context& context, const Ledger& ledger) {
  const std::string note = stopped_note(context.coverage(ledger));
  return note.empty() ? note : note_lines(std::span(&note, 1));
}

const Mapping* mapping_of(const Result<Mappings>& mappings, Address address) {
  return mappings ? find_mapping(*mappings, address) : nullptr;
}

std::string no_block_text(Context& context, const Ledger& ledger, Address address) {
  const auto mappings = context.target.mappings();
  const Mapping* mapping = mapping_of(mappings, address);
  std::string text = fmt::format("{:#x} is in no outstanding block", address);
  text += mapping != nullptr ? fmt::format("; it is in the mapping {}\n", mapping_words(*mapping))
                             : std::string("; nothing is mapped there\n");
  if (const auto before = block_before(ledger, address)) {
    text += fmt::format("It is {} bytes after the block {:#x} of {} bytes.\n",
                        address - before->range().end, before->start, before->size);
  }
  return text;
}

Json no_block_json(Context& context, Address address) {
  const auto mappings = context.target.mappings();
  const Mapping* mapping = mapping_of(mappings, address);
  return Json{{"kind", "block"},
              {"address", address},
              {"block", nullptr},
              {"mapping", mapping != nullptr ? Json(mapping_words(*mapping)) : Json(nullptr)}};
}

Result<void> run(Context& context, const Arguments& arguments) {
  const auto typed = parse_address(*arguments.positional());
  if (!typed) {
    return fail("ADDR must be an address such as 0x7f8f70863220, not '{}'",
                *arguments.positional());
  }
  const auto read = context.ledger();
  if (!read) return tl::unexpected(read.error());
  const Ledger& ledger = **read;
  auto output = Output::open(context.target, arguments);
  if (!output) return tl::unexpected(output.error());

  Address address = typed->value;
  std::optional<Allocation> allocation = ledger.find(address);
  if (!allocation && typed->decimal) {
    allocation = ledger.find(*typed->decimal);
    if (allocation) address = *typed->decimal;
  }
  if (!allocation) {
    output->sink()(output->json() ? json_text(no_block_json(context, address)) + "\n"
                                  : no_block_text(context, ledger, address));
    return output->finish();
  }
  FrameResolver resolver = context.frame_resolver();
  const std::vector<std::vector<CodeAddress>> stacks{ledger.stack(allocation->stack)};
  resolver.prepare(stacks);
  const auto frames = resolver.frames(stacks.front());
  output->sink()(output->json()
                     ? json_text(block_json(context, ledger, *allocation, address, frames)) + "\n"
                     : block_text(context, ledger, *allocation, address, frames) +
                           stopped_line(context, ledger));
  return output->finish();
}

}  // namespace

Command block_command() {
  return {
      .name = "block",
      .summary = "tell about the block at or around an address",
      .text =
          "Shows the outstanding block that contains ADDR: its start and size, how it was allocated,\n"
          "its class (reachable or lost, from a scan of this stop), how long ago, by which thread and\n"
          "from where it was allocated. For an address in no block: the mapping it is in. ADDR is\n"
          "hexadecimal, with or without 0x; a decimal number (as in JSON) is understood when a block\n"
          "is there.\n",
      .options = {format_option(), output_option()},
      .positional = PositionalSpec{"ADDR", true, "an address such as 0x7f8f70863220"},
      .examples = {"leaks block 0x7f8f70863220"},
      .run = run,
  };
}

}  // namespace heapledger
