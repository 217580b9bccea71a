// SPDX-License-Identifier: Apache-2.0
#include "tracking/generated_rules.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>

namespace heapledger {
namespace {

using agent::RuleBody;
using agent::RuleType;

constexpr std::size_t kPltEntry = 16;

RuleBody rule(RuleType type, std::int32_t cfa) { return {cfa, 0, std::uint8_t(type), 0}; }
FrameEntry stretch(std::uint64_t begin, std::uint64_t end, RuleBody body) {
  FrameEntry entry{begin, end};
  entry.fixed = body;
  return entry;
}

bool starts_with(std::span<const std::byte> bytes, std::initializer_list<std::uint8_t> prefix) {
  return bytes.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), bytes.begin(),
                    [](std::uint8_t a, std::byte b) { return std::byte{a} == b; });
}

// One 16-byte entry. Those that push their index for the resolver move the CFA with the push.
void add_plt_entry(std::span<const std::byte> bytes, std::uint64_t address,
                   std::vector<FrameEntry>& out) {
  const bool endbr = starts_with(bytes, {0xf3, 0x0f, 0x1e, 0xfa});
  std::size_t at = endbr ? 4 : 0;
  if (starts_with(bytes, {0xff, 0x35})) {  // the first entry: push GOT[1]; jmp *GOT[2]
    out.push_back(stretch(address, address + 6, rule(RuleType::sp, 16)));
    out.push_back(stretch(address + 6, address + kPltEntry, rule(RuleType::sp, 24)));
    return;
  }
  if (starts_with(bytes.subspan(at), {0xf2})) ++at;  // bnd
  const bool jump = starts_with(bytes.subspan(at), {0xff, 0x25});
  if (jump) at += 6;
  const bool push = at < bytes.size() && starts_with(bytes.subspan(at), {0x68});
  if (!jump && !push) return;
  const RuleBody body = push ? rule(RuleType::plt, std::int32_t(at) + 5) : rule(RuleType::sp, 8);
  out.push_back(stretch(address, address + kPltEntry, body));
}

void add_section(const ElfFile& elf, const ElfSection& section, std::vector<FrameEntry>& out) {
  const std::span<const std::byte> bytes = elf.contents(section);
  // The plt rule goes by the low four bits of the pc.
  if (section.address % kPltEntry != 0) return;
  for (std::size_t at = 0; at + kPltEntry <= bytes.size(); at += kPltEntry) {
    add_plt_entry(bytes.subspan(at, kPltEntry), section.address + at, out);
  }
}

void find_signal_return(std::span<const std::byte> bytes, std::uint64_t address,
                        std::vector<FrameEntry>& out) {
  static constexpr unsigned char kCode[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05};
  const std::boyer_moore_horspool_searcher searcher(std::begin(kCode), std::end(kCode));
  const auto* begin = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto* end = begin + bytes.size();
  const auto* found = std::search(begin, end, searcher);
  if (found == end) return;
  const std::uint64_t place = address + std::uint64_t(found - begin);
  // One byte more in front: a return address is looked up by its call, the byte before it.
  out.push_back(stretch(found == begin ? place : place - 1, place + std::size(kCode),
                        rule(RuleType::signal, 0)));
}

}  // namespace

std::vector<FrameEntry> plt_entries(const ElfFile& elf) {
  std::vector<FrameEntry> entries;
  for (const char* name : {".plt", ".plt.sec", ".iplt"}) {
    if (const ElfSection* section = elf.section(name)) add_section(elf, *section, entries);
  }
  // Only jumps through the GOT, of 8 or 16 bytes.
  const ElfSection* got = elf.section(".plt.got");
  if (got != nullptr && got->size != 0 && got->address + got->size > got->address) {
    entries.push_back(stretch(got->address, got->address + got->size, rule(RuleType::sp, 8)));
  }
  return entries;
}

std::vector<FrameEntry> signal_return_entries(const ElfFile& elf,
                                              std::span<const FrameEntry> covered) {
  std::vector<FrameEntry> entries;
  for (const ElfSegment& segment : elf.segments()) {
    if (segment.type != PT_LOAD || (segment.flags & PF_X) == 0) continue;
    const std::span<const std::byte> bytes = elf.at(segment.address, segment.file_size);
    std::uint64_t free = 0;  // offset of the first byte not covered
    const auto search_up_to = [&](std::uint64_t offset) {
      offset = std::min<std::uint64_t>(offset, bytes.size());
      if (offset > free + 8) {
        find_signal_return(bytes.subspan(free, offset - free), segment.address + free, entries);
      }
    };
    for (const FrameEntry& entry : covered) {
      if (entry.end <= segment.address + free) continue;
      if (entry.begin > segment.address) search_up_to(entry.begin - segment.address);
      free = entry.end - segment.address;
    }
    search_up_to(bytes.size());
  }
  return entries;
}

}  // namespace heapledger
