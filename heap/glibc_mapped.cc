// SPDX-License-Identifier: Apache-2.0
//
// The kernel merges neighbouring mappings, so a chunk may begin at any page, not only at the start of
// a mapping. memalign leaves the first header of the mapping as it was and puts another one, with the
// distance to the start as prev_size, in front of the aligned block: taking the first one would give a
// wrong address, so aligned places are tried first.
#include "heap/glibc_mapped.h"

#include <algorithm>

#include "heap/window.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMostAlignment = 1ull << 32;

struct MappedChunk {
  Block block;
  std::uint64_t total = 0;  // bytes of its mapping
};

// A chunk whose header is at `header`, `lead` bytes behind the start of its mapping.
std::optional<MappedChunk> chunk_at(Window& window, Address header, std::uint64_t lead,
                                    Address end) {
  const auto before = window.word(header);
  const auto word = window.word(header + 8);
  if (!before || !word || *before != lead || (*word & kSizeFlags) != kMapped) {
    return std::nullopt;
  }
  const std::uint64_t size = *word & ~kSizeFlags;
  const std::uint64_t total = lead + size;
  if (size < kMinChunk || total % kPage != 0 || total < size || total > end - (header - lead)) {
    return std::nullopt;
  }
  return MappedChunk{{header + kChunkHeader, size - kChunkHeader}, total};
}

std::optional<MappedChunk> chunk_mapped_at(const Memory& memory, Window& window, Address start,
                                           Address end) {
  const auto plain = chunk_at(window, start, 0, end);
  if (!plain) {
    return std::nullopt;
  }
  Window probe(memory);
  for (std::uint64_t alignment = 32; alignment <= kMostAlignment; alignment *= 2) {
    Address user = (start + kChunkHeader + alignment - 1) & ~(alignment - 1);
    if (user - kChunkHeader - start < kMinChunk && user - kChunkHeader != start) {
      user += alignment;
    }
    const Address header = user - kChunkHeader;
    if (header == start || header >= end) {
      continue;
    }
    if (const auto aligned = chunk_at(probe, header, header - start, end)) {
      return aligned;
    }
  }
  return plain;
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

void compare_with_parameters(const Memory& memory, const Glibc& glibc, std::uint64_t count,
                             std::uint64_t bytes, std::vector<std::string>& messages) {
  if (!glibc.parameters) {
    messages.push_back("mp_ was not found: the number of mapped blocks is unchecked");
    return;
  }
  const auto& layout = glibc.layout.parameters;
  const auto counted =
      memory.read_value<std::uint32_t>(*glibc.parameters + layout.mapped_count).value_or(0);
  const auto mapped =
      memory.read_value<std::uint64_t>(*glibc.parameters + layout.mapped_bytes).value_or(0);
  if (counted != count || mapped != bytes) {
    messages.push_back(fmt::format(
        "mapped blocks: {} found ({} bytes), malloc counts {} ({} bytes)", count, bytes, counted,
        mapped));
  }
}

}  // namespace

std::vector<Block> find_mapped_chunks(const Memory& memory, const Mappings& mappings,
                                      const Glibc& glibc, std::vector<AddressRange> claimed,
                                      std::vector<std::string>& messages) {
  std::sort(claimed.begin(), claimed.end(),
            [](const AddressRange& a, const AddressRange& b) { return a.begin < b.begin; });
  std::vector<Block> blocks;
  std::uint64_t bytes = 0;
  for (const Mapping& mapping : mappings) {
    if (!may_hold_chunks(mapping)) {
      continue;
    }
    for (const AddressRange& part : unclaimed_parts(mapping.range, claimed)) {
      Window window(memory);
      Address at = (part.begin + kPage - 1) & ~(kPage - 1);
      while (at < part.end) {
        const auto chunk = chunk_mapped_at(memory, window, at, part.end);
        if (chunk) {
          blocks.push_back(chunk->block);
          bytes += chunk->total;
        }
        at += chunk ? chunk->total : kPage;
      }
    }
  }
  compare_with_parameters(memory, glibc, blocks.size(), bytes, messages);
  return blocks;
}

}  // namespace heapledger
