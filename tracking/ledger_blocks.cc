// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "inferior/huge_pages.h"
#include "tracking/ledger_reader.h"

namespace heapledger {
namespace {

using agent::Kind;
using agent::Slot;

constexpr Address kAddressEnd = Address{1} << agent::kAddressBits;
constexpr Address kLastPage = kAddressEnd - 4096;

bool maps_segments(Kind kind) {
  return kind == Kind::mmap || kind == Kind::mremap || kind == Kind::shmat;
}
bool makes_blocks(Kind kind) {
  return kind > Kind::none && kind <= Kind::custom && !maps_segments(kind);
}

bool counts(agent::MappingState state) {
  return state == agent::MappingState::live || state == agent::MappingState::cutting;
}

bool starts_before(const Allocation& a, const Allocation& b) {
  return a.block.start < b.block.start;
}

std::uint64_t leaf_slots(unsigned granule_shift) {
  return std::uint64_t{1} << (agent::kLeafShift - granule_shift);
}

}  // namespace

// ---------------------------------------------------------------------------------------------
// Heap blocks.

bool LedgerReader::to_allocation(Address address, const Slot& slot, Allocation& out) {
  const agent::Entry entry = agent::unpack(slot);
  if (!makes_blocks(entry.kind) || address == 0 || address + entry.size < address) return false;
  out.block = {address, entry.size};
  out.stack = entry.stack;
  out.time = entry.time;
  out.thread = std::uint16_t(entry.thread);
  out.kind = entry.kind;
  out.truncated = entry.truncated;
  check_references(out);
  return true;
}

// The block itself is real even when what made it cannot be told.
void LedgerReader::check_references(Allocation& allocation) {
  if (allocation.stack == 0 || allocation.stack < ledger_.nodes_.size()) return;
  allocation.stack = 0;
  ++ledger_.damaged_;
}

// Leaves with the first address each covers, ascending.
std::vector<std::pair<Address, Address>> LedgerReader::leaves() {
  const std::uint64_t leaf_size = leaf_slots(state_->granule_shift) * sizeof(Slot);
  constexpr std::size_t kTableBytes = agent::kTableSize * sizeof(std::uint64_t);
  std::vector<std::size_t> indexes;
  const auto tables = claim_all(state_->directory, kTableBytes, indexes);
  std::vector<std::pair<Address, Address>> found;
  read_objects(tables, kTableBytes, [&](std::size_t i, std::span<const std::byte> bytes) {
    const Address base = Address(indexes[i]) << agent::kTableShift;
    for (std::size_t k = 0; k < bytes.size() / sizeof(std::uint64_t); ++k) {
      std::uint64_t leaf;
      std::memcpy(&leaf, bytes.data() + k * sizeof leaf, sizeof leaf);
      if (leaf == 0) continue;
      if (claims_->claim(leaf, leaf_size)) {
        found.emplace_back(leaf, base | Address(k) << agent::kLeafShift);
      } else {
        ++ledger_.damaged_;
      }
    }
  });
  return found;
}

void LedgerReader::read_leaves() {
  const auto found = leaves();
  std::vector<Address> addresses;
  addresses.reserve(found.size());
  for (const auto& [leaf, base] : found) addresses.push_back(leaf);
  reserve_allocations(found.size() * leaf_slots(state_->granule_shift));
  read_objects(
      addresses, leaf_slots(state_->granule_shift) * sizeof(Slot),
      [&](std::size_t i, std::span<const std::byte> bytes) { read_leaf(found[i].second, bytes); });
}

void LedgerReader::read_leaf(Address base, std::span<const std::byte> bytes) {
  const unsigned shift = state_->granule_shift;
  std::vector<Allocation>& all = ledger_.recorded_;
  Address last_end = all.empty() ? 0 : all.back().block.range().end;
  for (std::size_t i = 0; i < bytes.size() / sizeof(Slot); ++i) {
    Slot slot;
    std::memcpy(&slot, bytes.data() + i * sizeof slot, sizeof slot);
    if ((slot.w0 & 1) == 0) continue;
    const bool upper = (slot.w0 & 2) != 0;
    const Address address = base + (Address(i) << shift) + (upper ? 16 : 0);
    Allocation allocation;
    if ((upper && shift != 5) || !to_allocation(address, slot, allocation)) {
      ++ledger_.damaged_;
      continue;
    }
    overlap_seen_ |= address < last_end;
    last_end = address + allocation.block.size;
    all.push_back(allocation);
  }
}

// Room for what the counters promise.
void LedgerReader::reserve_allocations(std::uint64_t at_most) {
  const LedgerCounters& c = ledger_.counters_;
  const std::uint64_t live = c.allocations > c.releases ? c.allocations - c.releases : 0;
  reserve_huge(ledger_.recorded_, std::min(live + live / 64, at_most));
}

void LedgerReader::read_odd() {
  for (unsigned segment = 0; segment < agent::kOddSegments; ++segment) {
    const Address begin = state_->odd[segment];
    if (begin == 0) continue;
    const std::uint64_t size =
        (std::uint64_t{agent::kOddFirst} << segment) * sizeof(agent::OddEntry);
    if (!claims_->claim(begin, size)) {
      ++ledger_.damaged_;
      continue;
    }
    constexpr std::size_t kPart = agent::kOddFirst * sizeof(agent::OddEntry);
    std::vector<Address> parts;
    for (std::uint64_t at = 0; at < size; at += kPart) parts.push_back(begin + at);
    read_objects(parts, kPart, [&](std::size_t, std::span<const std::byte> bytes) {
      for (std::size_t i = 0; i < bytes.size() / sizeof(agent::OddEntry); ++i) {
        agent::OddEntry entry;
        std::memcpy(&entry, bytes.data() + i * sizeof entry, sizeof entry);
        if (entry.key == 0 || (entry.slot.w0 & 1) == 0) continue;
        Allocation allocation;
        if (to_allocation(agent::decode(entry.key), entry.slot, allocation)) {
          more_.push_back(allocation);
        } else {
          ++ledger_.damaged_;
        }
      }
    });
  }
}

void LedgerReader::add_odd_and_in_flight() {
  std::vector<Allocation>& all = ledger_.recorded_;
  if (!more_.empty()) {
    std::sort(more_.begin(), more_.end(), starts_before);
    const auto middle = std::ptrdiff_t(all.size());
    all.insert(all.end(), more_.begin(), more_.end());
    std::inplace_merge(all.begin(), all.begin() + middle, all.end(), starts_before);
  }
  if (overlap_seen_ || !more_.empty()) drop_overlapped();
}

// Two live blocks cannot overlap. Of two that do, the one in the middle of a realloc is known
// otherwise by now (put back, or its memory is somebody else's); else the release of one was not
// seen, and the newer one is what the allocator says now.
void LedgerReader::drop_overlapped() {
  std::vector<Allocation>& all = ledger_.recorded_;
  const auto outlives = [](const Allocation& later, const Allocation& earlier) {
    if (later.in_flight != earlier.in_flight) return earlier.in_flight;
    return later.time >= earlier.time;
  };
  std::size_t kept = 0;
  for (const Allocation& next : all) {
    bool keep = true;
    while (kept > 0 && keep) {
      const Allocation& last = all[kept - 1];
      const bool same = last.block.start == next.block.start;
      if (!same && last.block.range().end <= next.block.start) break;
      if (last.in_flight == next.in_flight) ++ledger_.damaged_;
      keep = outlives(next, last);
      if (keep) --kept;
    }
    if (keep) all[kept++] = next;
  }
  all.resize(kept);
}

// ---------------------------------------------------------------------------------------------
// Mapped segments.

void LedgerReader::read_mappings() {
  constexpr std::size_t kSize = agent::kMappingsPerChunk * sizeof(agent::MappingRecord);
  std::vector<std::size_t> indexes;
  const auto chunks = claim_all(state_->mappings, kSize, indexes);
  read_objects(chunks, kSize,
               [&](std::size_t, std::span<const std::byte> bytes) { read_mapping(bytes); });
  add_mapped();
}

void LedgerReader::read_mapping(std::span<const std::byte> bytes) {
  for (std::size_t i = 0; i < bytes.size() / sizeof(agent::MappingRecord); ++i) {
    agent::MappingRecord record;
    std::memcpy(&record, bytes.data() + i * sizeof record, sizeof record);
    if (!counts(agent::MappingState(record.state))) continue;
    MappingEvent event{record.sequence};
    const Address begin = agent::decode(record.begin);
    const auto kind = Kind(record.kind & 0xff);
    const bool release = kind == Kind::munmap || kind == Kind::shmdt;
    const bool maps = maps_segments(kind);
    const bool detach = kind == Kind::shmdt && record.length == 0;
    if (record.kind > 0xff || !(release || maps) || begin > kLastPage ||
        record.length > kAddressEnd - begin || (record.length == 0 && !detach)) {
      ++ledger_.damaged_;
      continue;
    }
    event.range = {begin, begin + record.length};
    event.action = detach    ? MappingEvent::Action::detach
                   : release ? MappingEvent::Action::unmap
                             : MappingEvent::Action::map;
    Allocation allocation;
    allocation.stack = record.stack;
    allocation.time = record.time;
    allocation.thread = record.thread < 1u << agent::kThreadBits ? std::uint16_t(record.thread) : 0;
    allocation.kind = kind;
    allocation.truncated = record.truncated != 0;
    allocation.mapped = true;
    check_references(allocation);
    events_.push_back(event);
    event_allocations_.push_back(allocation);
  }
}

void LedgerReader::add_mapped() {
  std::vector<Allocation> segments;
  for (const MappedPiece& piece : replay_mappings(events_)) {
    segments.push_back(event_allocations_[piece.event]);
    segments.back().block = {piece.range.begin, piece.range.size()};
  }
  ledger_.add_mapped(segments);
}

}  // namespace heapledger
