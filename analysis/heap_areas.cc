// SPDX-License-Identifier: Apache-2.0
#include "analysis/heap_areas.h"

#include <algorithm>
#include <string>

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;

class HeapClaims {
 public:
  HeapClaims(const RootSources& sources, const std::optional<Glibc>& glibc, RegionMap& map)
      : sources_(sources), glibc_(glibc), map_(map) {}

  void claim() {
    if (glibc_) claim_arenas();
    for (const Mapping& mapping : sources_.mappings) {
      if (mapping.readable && mapping.writable) claim_around_blocks(mapping);
    }
  }

 private:
  // `malloc`: glibc's, where a walk of its structures names every block.
  Claim claim_of(const char* why, bool malloc) const {
    if (sources_.heap_gaps_are_roots && !(malloc && sources_.heap != nullptr)) {
      return {RootKind::mapping, std::string(why) + ": may hold blocks from before tracking", 0, false,
              RegionUse::heap};
    }
    return {std::nullopt, std::string(why) + ": only live blocks are scanned", 0, false,
            RegionUse::heap};
  }

  void claim_arenas() {
    std::vector<std::string> messages;  // damage shows where blocks are, not here
    const Address sbrk_base =
        glibc_->parameters
            ? sources_.memory.read_value<Address>(*glibc_->parameters +
                                                  glibc_->layout.parameters.sbrk_base)
                  .value_or(0)
            : 0;
    for (const Mapping& mapping : sources_.mappings) {
      if (mapping.name != "[heap]") continue;
      // What the program got from sbrk before malloc did is its own.
      const Address begin = std::max(mapping.range.begin, sbrk_base);
      if (sbrk_base != 0 && begin < mapping.range.end) {
        map_.claim({begin, mapping.range.end}, claim_of("heap of malloc", true));
      }
    }
    for (const Arena& arena : read_arenas(sources_.memory, *glibc_, messages)) {
      if (arena.is_main) continue;
      for (const ArenaHeap& heap : read_heaps(sources_.memory, *glibc_, arena, messages)) {
        map_.claim({heap.address, heap.address + kHeapMaxSize}, claim_of("heap of malloc (thread arena)", true));
      }
    }
  }

  const Block* first_block(AddressRange range) const {
    const auto it = std::partition_point(
        sources_.blocks.begin(), sources_.blocks.end(),
        [&](const Block& b) { return b.start + std::max<std::uint64_t>(b.size, 1) <= range.begin; });
    return it != sources_.blocks.end() && it->start < range.end ? &*it : nullptr;
  }

  // Blocks in what others have claimed (module data, stacks) say nothing of the rest.
  void claim_around_blocks(const Mapping& mapping) {
    for (AddressRange range : map_.unclaimed(mapping.range)) {
      while (const Block* block = first_block(range)) {
        const auto chunk = mapped_chunk(*block);
        if (!chunk) {
          map_.claim(mapping.range, claim_of("memory of an allocator", false));
          return;
        }
        map_.claim(*chunk, claim_of("block with a mapping of its own", true));
        range.begin = std::max(range.begin, chunk->end);
        if (range.empty()) break;
      }
    }
  }

  // glibc's chunk of whole pages around a block that has its own mapping.
  std::optional<AddressRange> mapped_chunk(const Block& block) const {
    if (!glibc_) return std::nullopt;
    const auto previous = sources_.memory.read_value<std::uint64_t>(block.start - 16);
    const auto size = sources_.memory.read_value<std::uint64_t>(block.start - 8);
    if (!previous || !size || (*size & kSizeFlags) != kMapped) return std::nullopt;
    const AddressRange chunk{block.start - 16 - *previous, block.start - 16 + (*size & ~kSizeFlags)};
    const bool pages = chunk.begin % kPage == 0 && chunk.end % kPage == 0;
    if (!pages || chunk.begin > block.start || chunk.end < block.start + block.size) return std::nullopt;
    return chunk;
  }

  const RootSources& sources_;
  const std::optional<Glibc>& glibc_;
  RegionMap& map_;
};

}  // namespace

void claim_walked_heap(const HeapWalk& heap, RegionMap& map) {
  for (const AddressRange& range : heap.unknown) {
    map.claim(range, {RootKind::mapping, "heap of malloc that could not be made out: may hold blocks", 0,
                      false, RegionUse::heap});
  }
  for (const AddressRange& range : heap.regions) {
    map.claim(range, {std::nullopt, "heap of malloc: only live blocks are scanned", 0, false,
                      RegionUse::heap});
  }
}

void claim_heap(const RootSources& sources, const std::optional<Glibc>& glibc, RegionMap& map) {
  HeapClaims(sources, glibc, map).claim();
}

}  // namespace heapledger
