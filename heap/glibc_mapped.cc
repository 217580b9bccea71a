// SPDX-License-Identifier: Apache-2.0
//
// The kernel merges neighbouring mappings, so a chunk may begin at any page, not only at the start
// of a mapping. memalign leaves the first header of the mapping as it was and puts another one,
// with the distance to the start as prev_size, in front of the aligned block: taking the first one
// would give a wrong address, so aligned places are tried first. When realloc moved such a mapping
// (mremap) the block is at no aligned place any more; that takes a look at every page, which is
// done only when the count disagrees.
#include "heap/glibc_mapped.h"

#include <algorithm>

#include "heap/window.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMostAlignment = 1ull << 32;
constexpr std::uint64_t kMostLooks = 1 << 24;  // pages looked at for moved chunks, of all mappings

struct MappedChunk {
  Block block;
  std::uint64_t total = 0;  // bytes of its mapping
};

Address page_of(Address address) { return address & ~(kPage - 1); }

std::vector<AddressRange> touched_parts(const TouchedParts& touched, AddressRange range) {
  return touched ? touched(range) : std::vector<AddressRange>{range};
}

struct Header {
  std::uint64_t
      before;          // prev_size: of a mapped chunk, what lies between it and its mapping's start
  std::uint64_t word;  // size | flags
};

std::optional<Header> header_at(Window& window, Address at) {
  const auto before = window.word(at);
  const auto word = window.word(at + 8);
  return before && word ? std::optional(Header{*before, *word}) : std::nullopt;
}

// The chunk whose header is at `header`, `lead` bytes behind the start of its mapping, if it is
// one.
std::optional<MappedChunk> mapped_chunk(std::optional<Header> found, Address header,
                                        std::uint64_t lead, Address end) {
  if (!found || found->before != lead || (found->word & kSizeFlags) != kMapped) {
    return std::nullopt;
  }
  const std::uint64_t size = found->word & ~kSizeFlags;
  const std::uint64_t total = lead + size;
  if (size < kMinChunk || total % kPage != 0 || total < size || total > end - (header - lead)) {
    return std::nullopt;
  }
  return MappedChunk{{header + kChunkHeader, size - kChunkHeader}, total};
}

// The other header of a mapping that begins at `start`, in front of an aligned block.
std::optional<MappedChunk> aligned_chunk_in(const Memory& memory, Address start, Address end) {
  for (std::uint64_t alignment = 32; alignment <= kMostAlignment; alignment *= 2) {
    Address user = (start + kChunkHeader + alignment - 1) & ~(alignment - 1);
    if (user - kChunkHeader - start < kMinChunk && user - kChunkHeader != start) {
      user += alignment;
    }
    const Address header = user - kChunkHeader;
    if (header == start || header >= end) {
      continue;
    }
    if (const auto chunk =
            mapped_chunk(memory.read_value<Header>(header), header, header - start, end)) {
      return chunk;
    }
  }
  return std::nullopt;
}

// The same where mremap has moved it: an address that was aligned to more than a page is still
// aligned to a page.
// Every page may begin with a header that says too much: `looks` bounds the sum.
std::optional<MappedChunk> moved_chunk_in(const Memory& memory, const TouchedParts& touched, Address start,
                                          Address stop, Address end, std::uint64_t& looks) {
  if (looks == 0) return std::nullopt;
  Window window(memory);
  for (const AddressRange& part : touched_parts(touched, {start, stop})) {
    const Address last = std::min(part.end, stop);
    for (Address header = page_of(part.begin) + kPage - kChunkHeader; header < last && looks != 0;
         header += kPage) {
      --looks;
      if (const auto chunk = mapped_chunk(header_at(window, header), header, header - start, end)) {
        return chunk;
      }
    }
  }
  return std::nullopt;
}

// The header at `start` itself may be an old one that says more than is mapped by now (memalign,
// then a realloc that shrank): it counts for itself only where it fits.
std::optional<MappedChunk> chunk_mapped_at(const Memory& memory, const TouchedParts& touched,
                                           Window& window, Address start, Address end,
                                           std::uint64_t& looks) {
  const auto first = mapped_chunk(header_at(window, start), start, 0, ~Address{0});
  if (!first) {
    return std::nullopt;
  }
  if (const auto aligned = aligned_chunk_in(memory, start, end)) {
    return aligned;
  }
  const std::uint64_t room = std::min(first->total, end - start);
  if (const auto moved = moved_chunk_in(memory, touched, start, start + room, end, looks)) {
    return moved;
  }
  return first->total <= end - start ? first : std::nullopt;
}

// The parts of `range` outside of every claimed range (sorted).
std::vector<AddressRange> unclaimed_parts(AddressRange range,
                                          const std::vector<AddressRange>& claimed) {
  std::vector<AddressRange> parts;
  for (const AddressRange& c : claimed) {
    if (!c.overlaps(range)) {
      continue;
    }
    if (c.begin > range.begin) {
      parts.push_back({range.begin, c.begin});
    }
    range.begin = std::max(range.begin, std::min(c.end, range.end));
  }
  if (!range.empty()) {
    parts.push_back(range);
  }
  return parts;
}

bool may_hold_chunks(const Mapping& m) {
  return m.readable && m.writable && !m.shared && !m.is_file() && m.name != "[heap]" &&
         m.name != "[stack]";
}

struct Found {
  std::vector<Block> blocks;
  std::uint64_t bytes = 0;  // of their mappings
};

// A chunk begins in a page that was written to; it may end in one that was not.
Found find(const Memory& memory, const Mappings& mappings, const std::vector<AddressRange>& claimed,
           const TouchedParts& touched, std::uint64_t looks) {
  Found found;
  for (const Mapping& mapping : mappings) {
    if (!may_hold_chunks(mapping)) {
      continue;
    }
    for (const AddressRange& part : unclaimed_parts(mapping.range, claimed)) {
      Window window(memory);
      Address next = page_of(part.begin + kPage - 1);
      for (const AddressRange& pages : touched_parts(touched, part)) {
        next = std::max(next, page_of(pages.begin));
        while (next < pages.end) {
          const auto chunk = chunk_mapped_at(memory, touched, window, next, part.end, looks);
          if (chunk) {
            found.blocks.push_back(chunk->block);
            found.bytes += chunk->total;
          }
          next += chunk ? chunk->total : kPage;
        }
      }
    }
  }
  return found;
}

// What malloc itself counts: n_mmaps and mmapped_mem.
struct Counted {
  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;

  bool agrees(const Found& found) const {
    return blocks == found.blocks.size() && bytes == found.bytes;
  }
};

std::optional<Counted> read_counted(const Memory& memory, const Glibc& glibc) {
  if (!glibc.parameters) {
    return std::nullopt;
  }
  const auto& layout = glibc.layout.parameters;
  const auto blocks = memory.read_value<std::uint32_t>(*glibc.parameters + layout.mapped_count);
  const auto bytes = memory.read_value<std::uint64_t>(*glibc.parameters + layout.mapped_bytes);
  return blocks && bytes ? std::optional(Counted{*blocks, *bytes}) : std::nullopt;
}

}  // namespace

std::vector<Block> find_mapped_chunks(const Memory& memory, const Mappings& mappings,
                                      const Glibc& glibc, std::vector<AddressRange> claimed,
                                      const TouchedParts& touched, std::vector<std::string>& messages) {
  std::sort(claimed.begin(), claimed.end(),
            [](const AddressRange& a, const AddressRange& b) { return a.begin < b.begin; });
  const auto counted = read_counted(memory, glibc);
  Found found = find(memory, mappings, claimed, touched, 0);
  if (!counted) {
    messages.push_back("mp_ was not found: the number of mapped blocks is unchecked");
  } else if (!counted->agrees(found)) {
    found = find(memory, mappings, claimed, touched, kMostLooks);
  }
  if (counted && !counted->agrees(found)) {
    messages.push_back(
        fmt::format("mapped blocks: {} found ({} bytes), malloc counts {} ({} bytes)",
                    found.blocks.size(), found.bytes, counted->blocks, counted->bytes));
  }
  return std::move(found.blocks);
}

}  // namespace heapledger
