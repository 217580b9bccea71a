// SPDX-License-Identifier: Apache-2.0
#include "inferior/core_memory.h"

#include <elf.h>

#include <algorithm>

namespace heapledger {
namespace {

constexpr std::size_t kPage = 4096;

}  // namespace

CoreMemory::CoreMemory(std::shared_ptr<const ElfFile> core, std::vector<Backing> modules)
    : core_(std::move(core)), modules_(std::move(modules)) {
  const std::span<const std::byte> file = core_->bytes();
  for (const ElfSegment& segment : core_->segments()) {
    // A core that was cut off ends in the middle of a segment.
    if (segment.type != PT_LOAD || segment.offset >= file.size()) continue;
    const std::uint64_t size = std::min<std::uint64_t>(
        {segment.file_size, segment.memory_size, file.size() - segment.offset});
    if (size != 0) pieces_.push_back({segment.address, file.subspan(segment.offset, size)});
  }
  std::sort(pieces_.begin(), pieces_.end(),
            [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
}

// From the address to the end of what the core has there; empty when it has nothing.
std::span<const std::byte> CoreMemory::from_core(Address address) const {
  auto after = std::upper_bound(pieces_.begin(), pieces_.end(), address,
                                [](Address a, const Piece& piece) { return a < piece.begin; });
  if (after == pieces_.begin()) return {};
  const Piece& piece = *--after;
  const std::uint64_t offset = address - piece.begin;
  return offset < piece.bytes.size() ? piece.bytes.subspan(offset) : std::span<const std::byte>();
}

// Up to the end of the page, as the file's segments are mapped in pages.
std::span<const std::byte> CoreMemory::from_modules(Address address, std::size_t size) const {
  size = std::min(size, kPage - address % kPage);
  for (const Backing& module : modules_) {
    if (!module.elf || !module.range.contains(address)) continue;
    for (; size != 0; size /= 2) {
      const auto bytes = module.elf->at(address - module.bias, size);
      if (!bytes.empty()) return bytes;
    }
  }
  return {};
}

std::size_t CoreMemory::read_up_to(Address address, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    std::span<const std::byte> bytes = from_core(address + done);
    if (bytes.empty()) bytes = from_modules(address + done, out.size() - done);
    if (bytes.empty()) break;
    const std::size_t size = std::min(bytes.size(), out.size() - done);
    std::copy_n(bytes.begin(), size, out.begin() + done);
    done += size;
  }
  return done;
}

}  // namespace heapledger
