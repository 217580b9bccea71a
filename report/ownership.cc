// SPDX-License-Identifier: Apache-2.0
//
//	0x5580c010 is 16 bytes inside the block 0x5580c000 of 64 bytes: still reachable
//	  global       g_server+8 [app] server.cc:12
//	               *(void**)0x404068 = 0x5580a000
//	  block        0x5580a000, 128 bytes, allocated at open_server+0x1f [app] server.cc:40
//	               *(void**)(0x5580a000+24) = 0x5580c000
//	  block        0x5580c000, 64 bytes, allocated at add_entry+0x31 [app] cache.cc:88
#include "report/ownership.h"

#include <fmt/format.h>

#include "report/numbers.h"

namespace heapledger {
namespace {

std::string_view what_name(Ownership::What what) {
  switch (what) {
    case Ownership::What::block: return "block";
    case Ownership::What::stack: return "stack";
    case Ownership::What::dead_stack: return "dead stack";
    case Ownership::What::module_data: return "module data";
    case Ownership::What::code: return "code";
    case Ownership::What::heap: return "heap";
    case Ownership::What::own_memory: return "own memory";
    case Ownership::What::mapping: return "mapping";
    case Ownership::What::unmapped: return "unmapped";
  }
  return "unmapped";
}

// The words about blocks of one answer.
class Blocks {
 public:
  Blocks(const ProcessScan& scan, const Ledger& ledger, FrameResolver& frames,
         std::string_view untracked = {})
      : scan_(scan), ledger_(ledger), frames_(frames), untracked_(untracked) {}

  const Block& block(BlockIndexNumber number) const { return scan_.scan.blocks()[number]; }

  std::optional<SymbolFrame> top_frame(BlockIndexNumber number) {
    const std::vector<std::vector<CodeAddress>> stacks{
        ledger_.stack(scan_.allocation(ledger_, number).stack)};
    frames_.prepare(stacks);
    const auto frames = frames_.frames(stacks.front());
    return frames.empty() ? std::nullopt : std::optional(frames.front());
  }

  // "0x5580c000, 64 bytes, allocated at add_entry+0x31 [app] cache.cc:88"
  std::string words(BlockIndexNumber number) {
    if (scan_.allocation(ledger_, number).untracked) {
      return fmt::format("{:#x}, {} bytes, {}", block(number).start, block(number).size,
                         untracked_);
    }
    const auto frame = top_frame(number);
    return fmt::format("{:#x}, {} bytes, allocated at {}", block(number).start,
                       block(number).size, frame ? memleak_frame(*frame) : "<stack not recorded>");
  }

  Json json(BlockIndexNumber number) {
    const auto frame = top_frame(number);
    return Json{{"address", block(number).start},
                {"size", block(number).size},
                {"class", verdict_name(scan_.scan.verdict(number))},
                {"allocated_at", frame ? frame_json(*frame) : Json(nullptr)}};
  }

 private:
  const ProcessScan& scan_;
  const Ledger& ledger_;
  FrameResolver& frames_;
  std::string_view untracked_;  // where a stack would stand
};

std::string line(std::string_view label, const std::string& words) {
  return fmt::format("  {:<12} {}\n", label, words);
}

std::string place_words(const PlaceName& place) {
  std::string text = place.text;
  if (!place.file.empty() && text.find(file_name(place.file)) == std::string::npos) {
    text += fmt::format(" {}:{}", file_name(place.file), place.line);
  }
  return text;
}

// "*(void**)(0x5580a000+24) = 0x5580c000", and how the pointer counts when it is no start pointer.
std::string pointer_words(const OwnerLink& link) {
  std::string text = fmt::format("{} = {:#x}", link.expression, link.reference.value);
  if (link.target_offset == 0) return text;
  text += fmt::format(" ({} bytes inside", link.target_offset);
  if (link.heuristic != Heuristic::none) text += fmt::format(", {}", heuristic_name(link.heuristic));
  return text + ")";
}

std::string_view root_label(const OwnerLink& link) {
  if (!link.place) return "root";
  if (link.place->kind == RootKind::tls) return "thread-local";  // fits the column
  return root_kind_name(link.place->kind);
}

std::string holder_lines(const OwnerLink& link, Blocks& blocks) {
  const bool root = link.reference.holder == Reference::Holder::root;
  const std::string_view label = root ? root_label(link) : "block";
  const std::string words =
      !root          ? blocks.words(link.reference.block)
      : link.place   ? place_words(*link.place)
                     : fmt::format("{:#x}", link.reference.slot);
  return line(label, words) + line("", pointer_words(link));
}

std::string holders(std::string_view title, std::span<const OwnerLink> links, Blocks& blocks) {
  if (links.empty()) return "";
  std::string text = fmt::format("{}:\n", title);
  for (const OwnerLink& link : links) text += holder_lines(link, blocks);
  return text;
}

std::string lost_lines(const Ownership& ownership, Blocks& blocks) {
  std::string text = line("block", blocks.words(*ownership.block));
  text += holders("lost blocks that point to it", ownership.other_blocks, blocks);
  if (ownership.other_blocks.empty()) text += "nothing points to it\n";
  if (!ownership.group) return text;
  const LostGroup& group = *ownership.group;
  if (group.head == *ownership.block) {
    return text + fmt::format("it is the head of its group and leads to {} more bytes in {} "
                              "blocks\n", group.led.bytes, group.led.blocks);
  }
  return text + "head of its group:\n" + line("block", blocks.words(group.head));
}

bool is_lost(Verdict verdict) {
  return verdict == Verdict::definitely_lost || verdict == Verdict::indirectly_lost ||
         verdict == Verdict::suppressed;
}

std::string reachable_lines(const Ownership& ownership, Blocks& blocks) {
  std::string text;
  for (const OwnerLink& link : ownership.chain) text += holder_lines(link, blocks);
  text += line("block", blocks.words(*ownership.block));
  const std::size_t others = ownership.other_roots.size() + ownership.other_blocks.size();
  if (others == 0) return text;
  text += holders("other roots that point to it", ownership.other_roots, blocks);
  return text + holders("other blocks that point to it", ownership.other_blocks, blocks);
}

std::string block_head(const Ownership& ownership, const Block& block) {
  const std::uint64_t offset = ownership.address - block.start;
  const std::string_view verdict = verdict_name(ownership.verdict);
  if (offset == 0) {
    return fmt::format("{:#x} is a block of {} bytes: {}\n", block.start, block.size, verdict);
  }
  return fmt::format("{:#x} is {} bytes inside the block {:#x} of {} bytes: {}\n",
                     ownership.address, offset, block.start, block.size, verdict);
}

Json place_json(const std::optional<PlaceName>& place) {
  if (!place) return nullptr;
  Json json{{"kind", root_kind_name(place->kind)}, {"text", place->text}};
  if (place->tid != 0) json["thread"] = place->tid;
  if (place->thread_index != 0) json["thread_index"] = place->thread_index;
  if (place->frame) json["frame"] = *place->frame;
  json["function"] = place->function;
  json["variable"] = place->variable;
  json["symbol"] = place->symbol;
  json["offset"] = place->offset;
  json["module"] = place->module;
  json["file"] = place->file;
  json["line"] = place->line;
  return json;
}

Json links_json(std::span<const OwnerLink> links, Blocks& blocks) {
  Json list = Json::array();
  for (const OwnerLink& link : links) {
    const bool root = link.reference.holder == Reference::Holder::root;
    Json json{{"root", root ? place_json(link.place) : Json(nullptr)},
              {"block", root ? Json(nullptr) : blocks.json(link.reference.block)},
              {"offset", link.holder_offset},
              {"slot", link.reference.in_register ? Json(nullptr) : Json(link.reference.slot)},
              {"expression", link.expression},
              {"value", link.reference.value},
              {"target", blocks.block(link.target).start},
              {"target_offset", link.target_offset},
              {"heuristic", link.heuristic == Heuristic::none
                                ? Json(nullptr)
                                : Json(heuristic_name(link.heuristic))}};
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace

std::string ownership_text(const Ownership& ownership, const ProcessScan& scan,
                           const Ledger& ledger, const LedgerCoverage& coverage,
                           FrameResolver& frames) {
  if (!ownership.block) {
    return fmt::format("{:#x} is no block: {}\n", ownership.address, ownership.description);
  }
  Blocks blocks(scan, ledger, frames, untracked_name(coverage));
  std::string text = block_head(ownership, blocks.block(*ownership.block));
  text += is_lost(ownership.verdict) ? lost_lines(ownership, blocks)
                                     : reachable_lines(ownership, blocks);
  if (ownership.more_holders != 0) {
    text += fmt::format("{} more holders (--all lists them)\n", ownership.more_holders);
  }
  return text;
}

Json ownership_json(const Ownership& ownership, const ProcessScan& scan, const Ledger& ledger,
                    FrameResolver& frames) {
  Blocks blocks(scan, ledger, frames);
  Json json{{"kind", "ownership"},
            {"address", ownership.address},
            {"what", what_name(ownership.what)}};
  if (!ownership.block) {
    json["description"] = ownership.description;
    json["place"] = place_json(ownership.place);
    return json;
  }
  json["class"] = verdict_name(ownership.verdict);
  json["block"] = blocks.json(*ownership.block);
  json["offset"] = ownership.address - blocks.block(*ownership.block).start;
  json["chain"] = links_json(ownership.chain, blocks);
  json["other_roots"] = links_json(ownership.other_roots, blocks);
  json["other_blocks"] = links_json(ownership.other_blocks, blocks);
  json["more_holders"] = ownership.more_holders;
  json["group"] = nullptr;
  if (ownership.group) {
    json["group"] = {{"head", blocks.json(ownership.group->head)},
                     {"led_bytes", ownership.group->led.bytes},
                     {"led_blocks", ownership.group->led.blocks}};
  }
  return json;
}

}  // namespace heapledger
