// SPDX-License-Identifier: Apache-2.0
//
// The order of a walk: glibc, its arenas, the free lists whose chunks look used, the chunks of
// every region, the mapped blocks, and what belongs to malloc itself taken out.
#include "heap/glibc_walk.h"

#include <algorithm>

#include "heap/glibc_chunks.h"
#include "heap/glibc_mapped.h"
#include "heap/window.h"

namespace heapledger {
namespace {

constexpr std::size_t kMostFastbinChunks = 1u << 26;

bool by_start(const Block& a, const Block& b) { return a.start < b.start; }

// Where a hole or somebody else's memory begins: a heap is several mappings where mprotect has cut it, and
// in a forked child whose heap has grown.
Address contiguous_end(const Mappings& mappings, const Mapping& from) {
  const Mapping* m = &from;
  while (m != &mappings.back() && m[1].range.begin == m->range.end && !m[1].is_file()) ++m;
  return m->range.end;
}

class Walk {
 public:
  Walk(const Memory& memory, const Mappings& mappings, const std::vector<Module>& modules,
       const Glibc& glibc, std::span<const AddressRange> foreign, const TouchedParts& touched)
      : memory_(memory), mappings_(mappings), modules_(modules), glibc_(glibc), foreign_(foreign),
        touched_(touched) {}

  HeapWalk run(std::span<const ThreadTcb> threads);

 private:
  // Chunks from one address to another, whose they are, and all the memory around them.
  struct Region {
    ChunkRegion chunks;
    std::string name;
    AddressRange all;
  };

  void collect_fastbins(const Arena& arena);
  void sort_listed();
  void add_main(const Arena& arena);
  void add_other(const Arena& arena);
  void walk_regions();
  AddressRange main_region(const Arena& arena);
  Address first_main_chunk() const;
  void check_caches(std::span<const Tcache> tcaches);
  void take_out_internal(std::span<const Tcache> tcaches);
  std::vector<AddressRange> claimed() const;

  const Memory& memory_;
  const Mappings& mappings_;
  const std::vector<Module>& modules_;
  const Glibc& glibc_;
  std::span<const AddressRange> foreign_;
  const TouchedParts& touched_;
  std::vector<Address> listed_;  // free although marked used; user addresses
  std::vector<Region> regions_;
  Chunks chunks_;
  HeapWalk out_;
};

// A list that runs in a circle is noticed when it comes back to a marker that moves on ever more
// rarely (Brent's algorithm): no memory, three rounds at most.
void Walk::collect_fastbins(const Arena& arena) {
  Window links(memory_, 16 * 1024);
  for (std::size_t bin = 0; bin < arena.fastbins.size(); ++bin) {
    Address chunk = arena.fastbins[bin];
    Address marker = 0;
    for (std::size_t steps = 0; chunk != 0; ++steps) {
      const Address link = chunk + kChunkHeader;
      const auto stored = chunk % 16 == 0 ? links.word(link) : std::nullopt;
      if (!stored || chunk == marker || steps > kMostFastbinChunks) {
        out_.messages.push_back(
            fmt::format("arena {:#x}: fastbin {} breaks at {:#x}", arena.address, bin, chunk));
        break;
      }
      if ((steps & (steps + 1)) == 0) {
        marker = chunk;
      }
      listed_.push_back(link);
      chunk = glibc_.layout.decode_link(link, *stored);
    }
  }
}

void Walk::sort_listed() {
  std::sort(listed_.begin(), listed_.end());
  const auto end = std::unique(listed_.begin(), listed_.end());
  if (end != listed_.end()) {
    out_.messages.push_back(fmt::format("{} chunks are on free lists twice", listed_.end() - end));
    listed_.erase(end, listed_.end());
  }
}

// In order of address, so that the lists need no sorting.
void Walk::walk_regions() {
  std::sort(regions_.begin(), regions_.end(), [](const Region& a, const Region& b) {
    return a.chunks.range.begin < b.chunks.range.begin;
  });
  for (const Region& region : regions_) {
    walk_chunks(memory_, region.chunks, listed_, chunks_);
    out_.regions.push_back(region.all);
    for (const std::string& message : chunks_.messages) {
      out_.messages.push_back(fmt::format("{}: {}", region.name, message));
    }
    chunks_.messages.clear();
  }
  out_.used = std::move(chunks_.used);
  out_.free = std::move(chunks_.free);
  out_.unknown = std::move(chunks_.unknown);
}

// Where malloc first got memory; without mp_ the start of [heap].
Address Walk::first_main_chunk() const {
  const auto base =
      glibc_.parameters
          ? memory_.read_value<Address>(*glibc_.parameters + glibc_.layout.parameters.sbrk_base)
          : std::nullopt;
  if (base && *base != 0) {
    return (*base + 15) & ~Address{15};
  }
  for (const Mapping& mapping : mappings_) {
    if (mapping.name == "[heap]") {
      return mapping.range.begin;
    }
  }
  return 0;
}

// From the first chunk to the top chunk. When sbrk failed, malloc went on in mapped memory: then
// the region is the mapping top is in, and what was before it is told as missing.
AddressRange Walk::main_region(const Arena& arena) {
  const Address first = first_main_chunk();
  const Mapping* top = find_mapping(mappings_, arena.top);
  const Mapping* begin = find_mapping(mappings_, first);
  if (top == nullptr) {
    out_.messages.push_back(
        fmt::format("main arena: its top chunk {:#x} is not mapped", arena.top));
    return {};
  }
  if (begin != nullptr && first <= arena.top && arena.top < contiguous_end(mappings_, *begin)) {
    return {first, arena.top};
  }
  out_.messages.push_back(fmt::format(
      "main arena: not contiguous, only the part at {:#x} was walked", top->range.begin));
  return {top->range.begin, arena.top};
}

void Walk::add_main(const Arena& arena) {
  const AddressRange range = main_region(arena);
  if (!range.empty()) {
    regions_.push_back({{range, true, true}, "main arena", range});
  }
  const auto top_size = memory_.read_value<std::uint64_t>(arena.top + 8);
  const std::uint64_t size = top_size.value_or(0) & ~kSizeFlags;
  const Mapping* mapping = find_mapping(mappings_, arena.top);
  if (mapping == nullptr) return;
  if (size <= contiguous_end(mappings_, *mapping) - arena.top) {
    out_.regions.push_back({arena.top, arena.top + size});
  } else {
    out_.messages.push_back(
        fmt::format("main arena: top chunk {:#x} is damaged (size {:#x})", arena.top, size));
  }
}

void Walk::add_other(const Arena& arena) {
  for (const ArenaHeap& heap : read_heaps(memory_, glibc_, arena, out_.messages)) {
    const bool last = arena.top >= heap.first_chunk && arena.top < heap.end;
    const AddressRange range{heap.first_chunk, last ? arena.top : heap.end};
    regions_.push_back({{range, false, last},
                        fmt::format("arena {:#x}", arena.address),
                        {heap.address, heap.end}});
  }
}

// A cache is a chunk itself: where none has its size there is none to find. Any release's size counts,
// should the layout be the wrong one.
void Walk::check_caches(std::span<const Tcache> tcaches) {
  constexpr auto is_like_a_cache = [](const Block& block) {
    const std::uint64_t chunk = block.size + 8;
    return chunk == 0x250 || chunk == 0x290 || chunk == 0x300;
  };
  if (tcaches.empty() && std::any_of(out_.used.begin(), out_.used.end(), is_like_a_cache)) {
    out_.messages.push_back(
        "no thread's cache of free chunks was found: cached chunks count as used");
  }
}

void Walk::take_out_internal(std::span<const Tcache> tcaches) {
  std::vector<Address> internal;
  for (const Tcache& tcache : tcaches) {
    internal.push_back(tcache.address);
  }
  std::sort(internal.begin(), internal.end());
  auto to = out_.used.begin();
  auto from = to;
  for (const Address address : internal) {
    const auto at = std::lower_bound(from, out_.used.end(), Block{address, 0}, by_start);
    if (at == out_.used.end() || at->start != address) continue;
    out_.internal.push_back(*at);
    to = to == from ? at : std::move(from, at, to);
    from = at + 1;
  }
  if (to != from) out_.used.erase(std::move(from, out_.used.end(), to), out_.used.end());
}

// Memory in which no mapped block can begin.
std::vector<AddressRange> Walk::claimed() const {
  std::vector<AddressRange> claimed = out_.regions;
  claimed.insert(claimed.end(), foreign_.begin(), foreign_.end());
  for (const Module& module : modules_) {
    claimed.push_back(module.range);
  }
  return claimed;
}

HeapWalk Walk::run(std::span<const ThreadTcb> threads) {
  if (glibc_.minor != kRunRelease) {
    out_.notes.push_back(fmt::format(
        "the heap is read by the layout of {}, checked against what was found there but never run "
        "against that release", glibc_.minor != 0 ? fmt::format("glibc 2.{}", glibc_.minor)
                                                  : "the glibc it was linked with, as guessed"));
  }
  const std::vector<Arena> arenas = read_arenas(memory_, glibc_, out_.messages);
  const bool unused = std::all_of(arenas.begin(), arenas.end(), [&](const Arena& arena) {
    return arena.is_unused(glibc_.layout);
  });

  std::vector<Tcache> tcaches;
  if (!unused) {
    tcaches = read_tcaches(memory_, glibc_, modules_, threads, out_.messages);
  }
  for (const Tcache& tcache : tcaches) {
    listed_.insert(listed_.end(), tcache.free.begin(), tcache.free.end());
  }
  for (const Arena& arena : arenas) {
    collect_fastbins(arena);
    out_.metadata.push_back({arena.address, arena.address + glibc_.layout.arena.size});
  }
  sort_listed();
  // From here on it is known which chunks are free though their neighbours call them used.

  for (const Arena& arena : arenas) {
    if (!arena.is_unused(glibc_.layout)) {
      arena.is_main ? add_main(arena) : add_other(arena);
    }
  }
  walk_regions();
  if (!unused) {
    check_caches(tcaches);
  }
  if (chunks_.listed_free != listed_.size()) {
    out_.messages.push_back(fmt::format("{} of {} chunks on free lists are no chunks of a heap",
                                        listed_.size() - chunks_.listed_free, listed_.size()));
  }

  const std::vector<Block> mapped =
      find_mapped_chunks(memory_, mappings_, glibc_, claimed(), touched_, out_.messages);
  out_.mapped = mapped.size();
  out_.used.insert(out_.used.end(), mapped.begin(), mapped.end());
  sort_blocks(out_.used);
  sort_blocks(out_.free);
  take_out_internal(tcaches);
  return std::move(out_);
}

}  // namespace

Result<HeapWalk> walk_glibc_heap(const Memory& memory, const Mappings& mappings,
                                 const std::vector<Module>& modules,
                                 std::span<const ThreadTcb> threads,
                                 std::span<const AddressRange> foreign, const TouchedParts& touched) {
  const auto glibc = find_glibc(modules);
  if (!glibc) {
    return tl::unexpected(glibc.error());
  }
  std::vector<ThreadTcb> found;
  if (threads.empty()) {
    found = find_tcbs(memory, mappings, modules, *glibc);
    threads = found;
  }
  return Walk(memory, mappings, modules, *glibc, foreign, touched).run(threads);
}

}  // namespace heapledger
