// SPDX-License-Identifier: Apache-2.0
//
// Taking in the ledger (agent/protocol.h has the layouts): the state, then what it points to, in
// reads as large as the objects lie together. The inferior may be hostile: a pointer is followed once
// and only into the arena, an index is used only inside what was read, and what makes no sense is
// counted and left out.
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "tracking/arena_claims.h"
#include "tracking/ledger.h"
#include "tracking/mapping_replay.h"
#include "tracking/tsc_clock.h"

namespace heapledger {
namespace {

using agent::Kind;
using agent::Slot;

constexpr std::size_t kWindow = 1 << 20;  // bytes a read; stays in the second-level cache
constexpr Address kAddressEnd = Address{1} << agent::kAddressBits;
constexpr std::uint64_t kMappedEnd = kAddressEnd - 4096;

bool maps_segments(Kind kind) {
  return kind == Kind::mmap || kind == Kind::mremap || kind == Kind::shmat;
}
bool makes_blocks(Kind kind) {
  return kind > Kind::none && kind <= Kind::custom && !maps_segments(kind);
}

// Of the arena; one thread may be between reserving it and saying where it is.
AddressRange arena_of(const agent::State& s) {
  if (s.arena_begin != 0 || s.arena_word == 0) return {s.arena_begin, s.arena_end};
  const Address begin = s.arena_word & ~Address{4095};
  return {begin, begin + (Address{1} << (s.arena_word & 63))};
}

bool starts_before(const Allocation& a, const Allocation& b) {
  return a.block.start < b.block.start;
}

std::uint64_t leaf_slots(unsigned granule_shift) {
  return std::uint64_t{1} << (agent::kLeafShift - granule_shift);
}

}  // namespace

class LedgerReader {
 public:
  LedgerReader(const Memory& memory, Address state, Target* progress)
      : memory_(memory), progress_(progress), address_(state) {}

  Result<Ledger> run() {
    if (auto read = read_state(); !read) return tl::unexpected(read.error());
    claims_ = std::make_unique<ArenaClaims>(opened_);
    read_nodes();
    read_thread_records();
    read_threads();
    read_leaves();
    read_odd();
    add_odd_and_in_flight();
    read_mappings();
    set_clock();
    if (interrupted_) return fail("reading the ledger was interrupted");
    return std::move(ledger_);
  }

 private:
  Result<void> read_state();
  void read_threads();
  void read_thread(const agent::Thread& thread);
  void read_thread_records();
  void read_nodes();
  std::vector<std::pair<Address, Address>> leaves();
  void read_leaves();
  void read_leaf(Address base, std::span<const std::byte> bytes);
  void read_odd();
  void add_odd_and_in_flight();
  void drop_overlapped();
  void read_mappings();
  void read_mapping(std::span<const std::byte> bytes);
  void add_mapped();
  void set_clock();

  void reserve_allocations(std::uint64_t at_most);
  bool to_allocation(Address address, const Slot& slot, Allocation& out);
  void check_references(Allocation& allocation);

  // Objects of `size` bytes each. Those that lie one behind the other are read together; `visit` gets
  // each one's position in the list and its readable bytes.
  template <typename Visit>
  void read_objects(std::span<const Address> addresses, std::size_t size, Visit visit);
  // The objects of an array of pointers that may be followed; `indexes` are their places in it.
  std::vector<Address> claim_all(std::span<const std::uint64_t> pointers, std::size_t size,
                                 std::vector<std::size_t>& indexes);

  const Memory& memory_;
  Target* progress_;
  Address address_;
  std::unique_ptr<agent::State> state_ = std::make_unique<agent::State>();
  AddressRange opened_;
  std::unique_ptr<ArenaClaims> claims_;
  std::vector<std::uint64_t> window_;
  std::vector<Allocation> more_;  // from the odd table and from reallocs in progress
  std::vector<MappingEvent> events_;
  std::vector<Allocation> event_allocations_;
  Ledger ledger_;
  bool overlap_seen_ = false;
  bool interrupted_ = false;
};

Result<void> LedgerReader::read_state() {
  agent::State& s = *state_;
  if (auto read = memory_.read(address_, std::as_writable_bytes(std::span(&s, 1))); !read) {
    return fail("cannot read the ledger: {}", read.error().message);
  }
  if (s.magic != agent::kMagic) {
    return fail("cannot read the ledger: there is none at {:#x}", address_);
  }
  if (s.version != agent::kVersion || s.size != sizeof(agent::State)) {
    return fail("cannot read the ledger: the agent is of version {}, this is version {}", s.version,
                agent::kVersion);
  }
  if (s.granule_shift != 4 && s.granule_shift != 5) {
    return fail("cannot read the ledger: its granules of 2^{} bytes are damaged", s.granule_shift);
  }
  const AddressRange arena = arena_of(s);
  if (arena.begin != 0 && (arena.empty() || arena.end > kAddressEnd)) {
    return fail("cannot read the ledger: its arena {:#x}-{:#x} is damaged", arena.begin, arena.end);
  }
  ledger_.own_memory_.push_back({address_, address_ + sizeof(agent::State)});
  if (arena.begin != 0) {
    opened_ = {arena.begin, arena.begin + std::min(s.arena_next, arena.size())};
    ledger_.own_memory_.push_back(arena);
  }
  std::sort(ledger_.own_memory_.begin(), ledger_.own_memory_.end(),
            [](const AddressRange& a, const AddressRange& b) { return a.begin < b.begin; });
  LedgerCounters& c = ledger_.counters_;
  c.allocations = s.other_allocations;
  c.releases = s.other_releases;
  c.bytes = s.other_bytes;
  c.dropped = s.dropped;
  c.dropped_mappings = s.dropped_mappings;
  c.dropped_stacks = s.dropped_stacks;
  c.ledger_bytes = s.arena_opened;
  return {};
}

template <typename Visit>
void LedgerReader::read_objects(std::span<const Address> addresses, std::size_t size, Visit visit) {
  const std::size_t at_once = std::max<std::size_t>(1, kWindow / size);
  window_.resize((at_once * size + 7) / 8);
  for (std::size_t i = 0; i < addresses.size() && !interrupted_;) {
    std::size_t count = 1;
    while (count < at_once && i + count < addresses.size() &&
           addresses[i + count] == addresses[i] + count * size) {
      ++count;
    }
    const auto room = std::as_writable_bytes(std::span(window_)).first(count * size);
    const std::size_t readable = memory_.read_up_to(addresses[i], room);
    const std::size_t whole = readable / size;
    for (std::size_t k = 0; k < whole; ++k) {
      visit(i + k, std::span<const std::byte>(room.subspan(k * size, size)));
    }
    i += whole;
    if (whole < count) {  // one that cannot be read to its end; those behind it are read anew
      ++ledger_.damaged_;
      visit(i++, std::span<const std::byte>(room.subspan(whole * size, readable % size)));
    }
    interrupted_ = progress_ != nullptr && progress_->interrupted();
  }
}

std::vector<Address> LedgerReader::claim_all(std::span<const std::uint64_t> pointers,
                                             std::size_t size, std::vector<std::size_t>& indexes) {
  std::vector<Address> addresses;
  for (std::size_t i = 0; i < pointers.size(); ++i) {
    if (pointers[i] == 0) continue;
    if (!claims_->claim(pointers[i], size)) {
      ++ledger_.damaged_;
      continue;
    }
    addresses.push_back(pointers[i]);
    indexes.push_back(i);
  }
  return addresses;
}

// ---------------------------------------------------------------------------------------------
// Threads and stacks.

void LedgerReader::read_threads() {
  const auto thread = std::make_unique<agent::Thread>();
  for (const agent::ThreadEntry& entry : state_->threads) {
    if (entry.tcb == 0 || entry.thread == 0) continue;
    if (!claims_->claim(entry.thread, sizeof(agent::Thread))) {
      ++ledger_.damaged_;
      continue;
    }
    // Only what stands before the frames; they stay zero here.
    const auto head = std::as_writable_bytes(std::span(thread.get(), 1)).first(offsetof(agent::Thread, frames));
    if (memory_.read_up_to(entry.thread, head) == head.size()) {
      read_thread(*thread);
    } else {
      ++ledger_.damaged_;
    }
  }
}

void LedgerReader::read_thread(const agent::Thread& thread) {
  LedgerCounters& c = ledger_.counters_;
  c.allocations += thread.allocations;
  c.releases += thread.releases;
  c.bytes += thread.bytes;
  c.unknown_releases += thread.unknown_releases;
  c.mismatched_releases += thread.mismatched;
  c.truncated_stacks += thread.truncated;
  c.frames_walked += thread.frames_walked;
  c.frames_reused += thread.frames_reused;
  if (thread.in_flight_kind == 0) return;
  ++c.in_flight;
  if (thread.in_flight_block == 0) return;
  Allocation old;
  if (!to_allocation(agent::decode(thread.in_flight_block), thread.in_flight_slot, old)) {
    ++ledger_.damaged_;
    return;
  }
  old.in_flight = true;
  more_.push_back(old);
}

void LedgerReader::read_thread_records() {
  constexpr std::size_t kSize = agent::kThreadsPerChunk * sizeof(agent::ThreadRecord);
  std::vector<std::size_t> indexes;
  const auto chunks = claim_all(state_->thread_records, kSize, indexes);
  if (chunks.empty()) return;
  ledger_.threads_.resize((indexes.back() + 1) * agent::kThreadsPerChunk);
  read_objects(chunks, kSize, [&](std::size_t i, std::span<const std::byte> bytes) {
    std::memcpy(ledger_.threads_.data() + indexes[i] * agent::kThreadsPerChunk, bytes.data(), bytes.size());
  });
}

void LedgerReader::read_nodes() {
  constexpr std::size_t kSize = agent::kNodesPerChunk * sizeof(agent::Node);
  std::vector<std::size_t> indexes;
  const auto chunks = claim_all(state_->nodes, kSize, indexes);
  if (chunks.empty()) return;
  ledger_.nodes_.resize((indexes.back() + 1) * agent::kNodesPerChunk);
  read_objects(chunks, kSize, [&](std::size_t i, std::span<const std::byte> bytes) {
    std::memcpy(ledger_.nodes_.data() + indexes[i] * agent::kNodesPerChunk, bytes.data(), bytes.size());
  });
}

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
  read_objects(addresses, leaf_slots(state_->granule_shift) * sizeof(Slot),
               [&](std::size_t i, std::span<const std::byte> bytes) {
                 read_leaf(found[i].second, bytes);
               });
}

void LedgerReader::read_leaf(Address base, std::span<const std::byte> bytes) {
  const unsigned shift = state_->granule_shift;
  std::vector<Allocation>& all = ledger_.allocations_;
  Address last_end = all.empty() ? 0 : all.back().block.range().end;
  for (std::size_t i = 0; i < bytes.size() / sizeof(Slot); ++i) {
    Slot slot;
    std::memcpy(&slot, bytes.data() + i * sizeof slot, sizeof slot);
    if ((slot.w0 & 1) == 0) continue;
    if (maps_segments(agent::unpack(slot).kind)) continue;  // the agent's way to the mapping's record
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

// Address space for what the counters promise, in huge pages: faulting it in page by page would take
// longer than reading the ledger.
void LedgerReader::reserve_allocations(std::uint64_t at_most) {
  const LedgerCounters& c = ledger_.counters_;
  const std::uint64_t live = c.allocations > c.releases ? c.allocations - c.releases : 0;
  ledger_.allocations_.reserve(std::min(live + live / 64, at_most));
  const auto begin = reinterpret_cast<std::uintptr_t>(ledger_.allocations_.data());
  const std::uintptr_t page = (begin + 4095) & ~std::uintptr_t{4095};
  const std::uintptr_t end = begin + ledger_.allocations_.capacity() * sizeof(Allocation);
  if (end > page + (4 << 20)) madvise(reinterpret_cast<void*>(page), end - page, MADV_HUGEPAGE);
}

void LedgerReader::read_odd() {
  for (unsigned segment = 0; segment < agent::kOddSegments; ++segment) {
    const Address begin = state_->odd[segment];
    if (begin == 0) continue;
    const std::uint64_t size = (std::uint64_t{agent::kOddFirst} << segment) * sizeof(agent::OddEntry);
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
  std::vector<Allocation>& all = ledger_.allocations_;
  if (!more_.empty()) {
    std::sort(more_.begin(), more_.end(), starts_before);
    const auto middle = std::ptrdiff_t(all.size());
    all.insert(all.end(), more_.begin(), more_.end());
    std::inplace_merge(all.begin(), all.begin() + middle, all.end(), starts_before);
  }
  if (overlap_seen_ || !more_.empty()) drop_overlapped();
}

// Two live blocks cannot overlap. Of two that do, the one in the middle of a realloc is known
// otherwise by now (put back, or its memory is somebody else's); else the release of one was not seen,
// and the newer one is what the allocator says now.
void LedgerReader::drop_overlapped() {
  std::vector<Allocation>& all = ledger_.allocations_;
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
  read_objects(chunks, kSize, [&](std::size_t, std::span<const std::byte> bytes) { read_mapping(bytes); });
  add_mapped();
}

void LedgerReader::read_mapping(std::span<const std::byte> bytes) {
  for (std::size_t i = 0; i < bytes.size() / sizeof(agent::MappingRecord); ++i) {
    agent::MappingRecord record;
    std::memcpy(&record, bytes.data() + i * sizeof record, sizeof record);
    if (record.state != std::uint32_t(agent::MappingState::live)) continue;
    MappingEvent event{record.sequence};
    const Address begin = agent::decode(record.begin);
    const auto kind = Kind(record.kind & 0xff);
    const bool release = kind == Kind::munmap || kind == Kind::shmdt;
    const bool maps = maps_segments(kind);
    const bool detach = kind == Kind::shmdt && record.length == 0;
    if (record.kind > 0xff || !(release || maps) || begin > kMappedEnd ||
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
  std::vector<Allocation>& all = ledger_.allocations_;
  const auto heap_blocks = std::ptrdiff_t(all.size());
  for (const MappedPiece& piece : replay_mappings(events_)) {
    Allocation allocation = event_allocations_[piece.event];
    allocation.block = {piece.range.begin, piece.range.size()};
    all.push_back(allocation);
  }
  // A segment stands before the first block inside it.
  std::inplace_merge(all.begin(), all.begin() + heap_blocks, all.end(),
                     [](const Allocation& a, const Allocation& b) {
                       if (a.block.start != b.block.start) return a.block.start < b.block.start;
                       return a.mapped && !b.mapped;
                     });
  if (events_.empty()) return;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].mapped) ledger_.mapped_.push_back(i);
  }
}

// ---------------------------------------------------------------------------------------------

void LedgerReader::set_clock() {
  if ((state_->flags & agent::kRecordTime) == 0) return;
  ledger_.ms_per_tick_ = tsc_ms_per_cycle() * double(std::uint64_t{1} << agent::kTimeShift);
  ledger_.now_ticks_ = (tsc_now() - state_->start_tsc) >> agent::kTimeShift;
  if (progress_ == nullptr || progress_->kind() != ProcessKind::core) return;
  ledger_.now_ticks_ = 0;
  for (const Allocation& a : ledger_.allocations_) {
    ledger_.now_ticks_ = std::max<std::uint64_t>(ledger_.now_ticks_, a.time);
  }
}

Result<Ledger> Ledger::read(const Memory& memory, Address state, Target* progress) {
  try {
    return LedgerReader(memory, state, progress).run();
  } catch (const std::bad_alloc&) {
    return fail("cannot read the ledger: not enough memory for its contents");
  }
}

}  // namespace heapledger
