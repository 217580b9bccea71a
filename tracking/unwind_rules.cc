// SPDX-License-Identifier: Apache-2.0
#include "tracking/unwind_rules.h"

#include <elf.h>
#include <libelf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>

#include "inferior/address.h"
#include "tracking/derived_rules.h"
#include "tracking/frame_entries.h"
#include "tracking/generated_rules.h"

namespace heapledger {
namespace {

using agent::RuleBody;
using agent::RuleType;

constexpr RuleBody kNone{0, 0, std::uint8_t(RuleType::none), 0};
// The loader's entry point is a few lines of assembly without unwind information, and nothing called
// it: a gap of at most this size around a file's entry point.
constexpr std::uint64_t kEntryCode = 256;
constexpr RuleBody kOutermost{0, 0, std::uint8_t(RuleType::end), 0};
constexpr RuleBody kBad{0, 0, std::uint8_t(RuleType::bad), 0};
constexpr std::size_t kMaxBodies = 0xffff;

std::uint64_t key_of(const RuleBody& body) {
  std::uint64_t key;
  std::memcpy(&key, &body, sizeof key);
  return key;
}

// Rows in ascending order of address; equal neighbours become one.
class TableBuilder {
 public:
  explicit TableBuilder(std::uint64_t base) {
    table_.base = base;
    index_of(kBad);  // there when the 65535 others are used up
  }

  void add(std::uint64_t address, const RuleBody& body) {
    if (!table_.index.empty() && key_of(body) == last_key_) return;
    last_key_ = key_of(body);
    table_.offsets.push_back(std::uint32_t(address - table_.base));
    table_.index.push_back(index_of(body));
    if (body.type == std::uint8_t(RuleType::bad)) ++table_.rows_not_expressible;
  }

  UnwindTable& table() { return table_; }

 private:
  std::uint16_t index_of(const RuleBody& body) {
    const std::uint64_t key = key_of(body);
    Recent& recent = recent_[key * 0x9e3779b97f4a7c15u >> 56];
    if (recent.key == key && recent.used) return recent.index;
    const bool full = table_.bodies.size() == kMaxBodies;
    auto known = indices_.find(key);
    if (known == indices_.end()) {
      if (full) return 0;
      known = indices_.emplace(key, std::uint16_t(table_.bodies.size())).first;
      table_.bodies.push_back(body);
    }
    recent = {key, known->second, true};
    return known->second;
  }

  struct Recent {
    std::uint64_t key = 0;
    std::uint16_t index = 0;
    bool used = false;
  };
  UnwindTable table_;
  std::unordered_map<std::uint64_t, std::uint16_t> indices_;
  std::array<Recent, 256> recent_{};
  std::uint64_t last_key_ = 0;
};

// .debug_frame as its compiler wrote it; `storage` owns the bytes when they had to be inflated.
std::span<const std::byte> debug_frame_bytes(const ElfFile& elf, const ElfSection& section,
                                             std::vector<std::byte>& storage) {
  if ((section.flags & SHF_COMPRESSED) == 0) return elf.contents(section);
  // libelf changes the section's header in place: on a copy.
  std::vector<std::byte> copy(elf.bytes().begin(), elf.bytes().end());
  elf_version(EV_CURRENT);
  Elf* image = elf_memory(reinterpret_cast<char*>(copy.data()), copy.size());
  for (Elf_Scn* scn = nullptr; (scn = elf_nextscn(image, scn)) != nullptr;) {
    const Elf64_Shdr* header = elf64_getshdr(scn);
    if (header == nullptr || header->sh_offset != section.offset) continue;
    if (elf_compress(scn, 0, 0) < 0) break;
    const Elf_Data* data = elf_rawdata(scn, nullptr);
    if (data == nullptr || data->d_buf == nullptr) break;
    const auto* begin = static_cast<const std::byte*>(data->d_buf);
    storage.assign(begin, begin + data->d_size);
    break;
  }
  elf_end(image);
  return storage;
}

// Without section headers: PT_GNU_EH_FRAME leads to .eh_frame (Linux Standard Base,
// section 10.6.2).
std::optional<FrameSection> eh_frame_by_segment(const ElfFile& elf) {
  for (const ElfSegment& segment : elf.segments()) {
    if (segment.type != PT_GNU_EH_FRAME) continue;
    ByteCursor header(elf.at(segment.address, segment.file_size), segment.address);
    const auto version = header.fixed<std::uint8_t>();
    const auto encoding = header.fixed<std::uint8_t>();
    header.take(2);
    // Relative to "data" means to the header itself, here.
    const auto pointer = read_encoded_pointer(header, encoding);
    if (version != 1 || !pointer) return std::nullopt;
    const std::uint64_t begin = (encoding & 0x70) == 0x30 ? segment.address + *pointer : *pointer;
    for (const ElfSegment& load : elf.segments()) {
      if (load.type != PT_LOAD || begin < load.address || begin - load.address >= load.file_size) {
        continue;
      }
      const std::uint64_t size = load.file_size - (begin - load.address);
      return FrameSection{elf.at(begin, size), begin, true, false};
    }
  }
  return std::nullopt;
}

std::optional<FrameSection> eh_frame(const ElfFile& elf) {
  const ElfSection* section = elf.section(".eh_frame");
  if (section == nullptr) return eh_frame_by_segment(elf);
  return FrameSection{elf.contents(*section), section->address};
}

// Sorted, disjoint, inside executable segments. Where two overlap, the one that begins later holds.
void put_in_order(const ElfFile& elf, std::vector<FrameEntry>& entries) {
  const auto before = [](const FrameEntry& a, const FrameEntry& b) { return a.begin < b.begin; };
  if (!std::is_sorted(entries.begin(), entries.end(), before)) {
    std::stable_sort(entries.begin(), entries.end(), before);
  }
  std::vector<AddressRange> code;
  for (const ElfSegment& segment : elf.segments()) {
    if (segment.type != PT_LOAD || (segment.flags & PF_X) == 0) continue;
    code.push_back({segment.address, segment.address + segment.memory_size});
  }
  const auto clip = [&](FrameEntry& entry) {
    for (const AddressRange& range : code) {
      if (!range.contains(entry.begin)) continue;
      entry.end = std::min(entry.end, range.end);
      return true;
    }
    return false;
  };
  std::size_t kept = 0;
  for (FrameEntry& entry : entries) {
    if (!clip(entry)) continue;
    if (kept > 0 && entries[kept - 1].begin == entry.begin) continue;
    if (kept > 0) entries[kept - 1].end = std::min(entries[kept - 1].end, entry.begin);
    entries[kept++] = entry;
  }
  entries.resize(kept);
}

// Adds what `entries` does not say anything about.
void fill_gaps(const ElfFile& elf, std::vector<FrameEntry>& entries, std::vector<FrameEntry> more) {
  if (more.empty()) return;
  put_in_order(elf, more);
  const std::size_t covered = entries.size();
  for (const FrameEntry& entry : more) {
    const auto after =
        std::partition_point(entries.begin(), entries.begin() + std::ptrdiff_t(covered),
                             [&](const FrameEntry& known) { return known.end <= entry.begin; });
    const bool is_free =
        after == entries.begin() + std::ptrdiff_t(covered) || after->begin >= entry.end;
    if (is_free) entries.push_back(entry);
  }
  put_in_order(elf, entries);
}

void add_frame(const FrameEntry& entry, std::span<const Cie> cies, TableBuilder& builder) {
  if (entry.fixed) {
    builder.add(entry.begin, *entry.fixed);
    return;
  }
  CfaRows rows(cies[entry.cie].context, ByteCursor(entry.program, entry.program_address),
               entry.begin, entry.end);
  while (rows.next()) {
    builder.add(rows.begin(), rows.row() != nullptr ? reduce(*rows.row()) : kBad);
  }
}

}  // namespace

Result<UnwindTable> compile_unwind_rules(const ElfFile& elf) {
  FrameEntries frames;
  if (const auto section = eh_frame(elf)) frames = parse_frame_entries(*section);
  std::vector<FrameEntry>& entries = frames.entries;
  put_in_order(elf, entries);

  std::vector<std::byte> inflated;
  if (const ElfSection* section = elf.section(".debug_frame")) {
    FrameEntries more =
        parse_frame_entries({debug_frame_bytes(elf, *section, inflated), section->address, false});
    for (FrameEntry& entry : more.entries) entry.cie += std::uint32_t(frames.cies.size());
    frames.cies.insert(frames.cies.end(), more.cies.begin(), more.cies.end());
    fill_gaps(elf, entries, std::move(more.entries));
  }
  const std::size_t described = entries.size();
  fill_gaps(elf, entries, plt_entries(elf));
  fill_gaps(elf, entries, signal_return_entries(elf, entries));
  fill_gaps(elf, entries, derived_entries(elf, entries));

  if (entries.empty()) return UnwindTable{};
  if (entries.back().end - entries.front().begin > UINT32_MAX) {
    return fail("cannot compile unwind rules of {}: its code spans more than 4 GiB", elf.name());
  }
  TableBuilder builder(entries.front().begin);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    add_frame(entries[i], frames.cies, builder);
    const bool gap = i + 1 == entries.size() || entries[i].end < entries[i + 1].begin;
    if (!gap) continue;
    const std::uint64_t end = i + 1 == entries.size() ? UINT64_MAX : entries[i + 1].begin;
    const bool starts_here = elf.entry() >= entries[i].end && elf.entry() < end &&
                             end - entries[i].end <= kEntryCode;
    builder.add(entries[i].end, starts_here ? kOutermost : kNone);
  }
  builder.table().fde_count = std::uint32_t(described);
  return std::move(builder.table());
}

RuleBody find_rule(const UnwindTable& table, std::uint64_t address) {
  if (table.offsets.empty() || address < table.base || address - table.base > UINT32_MAX) {
    return kNone;
  }
  const auto after = std::upper_bound(table.offsets.begin(), table.offsets.end(),
                                      std::uint32_t(address - table.base));
  if (after == table.offsets.begin()) return kNone;
  const auto row = std::size_t(after - table.offsets.begin()) - 1;
  return table.bodies[table.index[row]];
}

}  // namespace heapledger
