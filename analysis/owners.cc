// SPDX-License-Identifier: Apache-2.0
#include "analysis/owners.h"

#include <algorithm>

#include "analysis/places.h"
#include "inferior/printable.h"

namespace heapledger {
namespace {

class OwnerSearch {
 public:
  OwnerSearch(const ProcessScan& scan, const Ledger& ledger, Target& target, const OwnerOptions& options)
      : scan_(scan.scan), ledger_(ledger), target_(target), options_(options), places_(scan_, target) {}

  Ownership of(Address address) {
    Ownership answer;
    answer.address = address;
    if (const auto block = scan_.find(address)) {
      answer.what = Ownership::What::block;
      answer.block = *block;
      describe_block(answer);
    } else {
      describe_address(answer);
    }
    return answer;
  }

 private:
  OwnerLink link(const Reference& reference, BlockIndexNumber target) {
    OwnerLink link;
    link.reference = reference;
    link.target = target;
    link.target_offset = reference.value - scan_.blocks()[target].start;
    if (reference.holder == Reference::Holder::root) {
      link.place = places_.name(reference);
      link.expression = places_.expression(reference);
    } else {
      const Address start = scan_.blocks()[reference.block].start;
      link.holder_offset = reference.slot - start;
      link.expression = fmt::format("*(void**)({:#x}+{})", start, link.holder_offset);
    }
    return link;
  }

  void describe_block(Ownership& answer) {
    const BlockIndexNumber block = *answer.block;
    answer.verdict = scan_.verdict(block);
    const std::vector<Reference> chain = scan_.chain(block);
    for (std::size_t i = 0; i < chain.size(); ++i) {
      // chain[i] points at the holder of chain[i + 1], the last one at the block.
      const BlockIndexNumber target = i + 1 < chain.size() ? chain[i + 1].block : block;
      answer.chain.push_back(link(chain[i], target));
      if (answer.chain.back().target_offset != 0) {
        answer.chain.back().heuristic = scan_.heuristic(target);
      }
    }
    if (const auto head = scan_.head(block)) answer.group = LostGroup{*head, scan_.led_by(*head)};
    const auto in_chain = [&](const Reference& r) { return !chain.empty() && r == chain.back(); };
    const auto list = [&](const std::vector<Reference>& holders, std::vector<OwnerLink>& links) {
      for (const Reference& r : holders) {
        if (in_chain(r)) continue;
        if (links.size() < options_.max_holders) {
          links.push_back(link(r, block));
        } else {
          ++answer.more_holders;
        }
      }
    };
    list(scan_.root_holders(block), answer.other_roots);
    list(scan_.block_holders(block), answer.other_blocks);
  }

  void describe_address(Ownership& answer) {
    const Region* region = places_.region(answer.address);
    if (region == nullptr) {
      answer.what = Ownership::What::unmapped;
      answer.description = "unmapped";
      return;
    }
    answer.what = what_is(*region);
    answer.place = places_.name_address(answer.address, *region);
    switch (answer.what) {
      case Ownership::What::heap: answer.description = describe_heap(answer.address, *region); break;
      case Ownership::What::code: answer.description = describe_code(answer.address); break;
      case Ownership::What::stack:
      case Ownership::What::module_data: answer.description = answer.place->text; break;
      case Ownership::What::dead_stack:
        answer.description = region->why;
        break;
      default:
        answer.description = answer.place->text;
        if (const auto a = ledger_.find(answer.address); a && a->mapped) {
          answer.description += fmt::format(", in a mapped segment of {} bytes at {:#x}", a->block.size,
                                            a->block.start);
        }
    }
  }

  static Ownership::What what_is(const Region& region) {
    switch (region.use) {
      case RegionUse::live_stack: return Ownership::What::stack;
      case RegionUse::dead_stack:
      case RegionUse::finished_stack: return Ownership::What::dead_stack;
      case RegionUse::heap: return Ownership::What::heap;
      case RegionUse::code: return Ownership::What::code;
      case RegionUse::own: return Ownership::What::own_memory;
      case RegionUse::system: return Ownership::What::mapping;
      case RegionUse::program: break;
    }
    return region.root == RootKind::global ? Ownership::What::module_data : Ownership::What::mapping;
  }

  std::string describe_heap(Address address, const Region& region) const {
    std::string text = fmt::format("freed or never allocated heap memory ({})", region.why);
    const auto blocks = scan_.blocks();
    auto it = std::upper_bound(blocks.begin(), blocks.end(), address,
                               [](Address a, const Block& b) { return a < b.start; });
    if (it == blocks.begin()) return text;
    --it;
    const std::uint64_t behind = address - (it->start + it->size);
    if (region.range.contains(it->start) && behind < 4096) {
      text += fmt::format(", {} bytes behind the end of the block {:#x} of {} bytes", behind, it->start,
                          it->size);
    }
    return text;
  }

  std::string describe_code(Address address) const {
    const CodeAddress code{address};
    const auto frames = target_.symbolize({&code, 1});
    if (frames.empty() || frames[0].empty() || frames[0].back().function.empty()) return "code";
    const SymbolFrame& f = frames[0].back();
    return fmt::format("code of {}+{:#x} [{}]", one_line(f.function), f.offset, one_line(f.module));
  }

  const Scan& scan_;
  const Ledger& ledger_;
  Target& target_;
  const OwnerOptions& options_;
  Places places_;
};

}  // namespace

Ownership who_owns(const ProcessScan& scan, const Ledger& ledger, Target& target, Address address,
                   const OwnerOptions& options) {
  return OwnerSearch(scan, ledger, target, options).of(address);
}

PlaceName name_place(const Scan& scan, Target& target, const Reference& reference) {
  return Places(scan, target).name(reference);
}

}  // namespace heapledger
