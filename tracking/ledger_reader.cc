// SPDX-License-Identifier: Apache-2.0
#include "tracking/ledger_reader.h"

#include <cstring>
#include <new>

#include "tracking/tsc_clock.h"

namespace heapledger {
namespace {

constexpr Address kAddressEnd = Address{1} << agent::kAddressBits;

// Of the arena; one thread may be between placing it and saying where it is.
AddressRange arena_of(const agent::State& s) {
  if (s.arena_begin != 0 || s.arena_word == 0) return {s.arena_begin, s.arena_end};
  const Address begin = s.arena_word & ~Address{4095};
  return {begin, begin + (Address{1} << (s.arena_word & 63))};
}

std::string shortage_of(const agent::State& s) {
  if (s.arena_error == 0) return "";
  if (s.arena_error != agent::kArenaFull) {
    return fmt::format("the process gets no more memory: {}", std::strerror(int(s.arena_error & 0xfff)));
  }
  if ((s.flags & agent::kMaxIsShare) != 0) {
    return fmt::format("its share of what the process's own limits left is {} bytes", s.max_bytes);
  }
  return s.max_bytes != 0 ? fmt::format("--max-ledger is {} bytes", s.max_bytes) : "";
}

}  // namespace

Result<Ledger> LedgerReader::run() {
  if (auto read = read_state(); !read) return tl::unexpected(read.error());
  if (auto own = check_arena(); !own) return tl::unexpected(own.error());
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
    if (!opened_.empty()) ledger_.own_memory_.push_back(opened_);
  }
  for (const auto& [begin, end] : s.undumped) {
    const bool ours = begin != 0 && (begin & agent::kText) == 0;
    if (ours && begin < end && end <= kAddressEnd) ledger_.own_memory_.push_back({begin, end});
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
  c.ledger_bytes = sizeof(agent::State) + s.arena_opened;
  c.shortage = shortage_of(s);
  return {};
}

// The agent's arena is private memory of the process. A file, mapped there again and again, would show more
// records than there is memory for them here.
Result<void> LedgerReader::check_arena() {
  if (progress_ == nullptr || progress_->kind() != ProcessKind::live_local) return {};
  const auto mappings = progress_->mappings();
  if (!mappings) return tl::unexpected(mappings.error());
  auto at = std::partition_point(mappings->begin(), mappings->end(),
                                 [&](const Mapping& m) { return m.range.end <= opened_.begin; });
  for (; at != mappings->end() && at->range.begin < opened_.end; ++at) {
    if (!at->is_file() && !at->shared) continue;
    return fail("cannot read the ledger: the program has mapped something else into it, at {:#x}",
                at->range.begin);
  }
  return {};
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
    const auto head =
        std::as_writable_bytes(std::span(thread.get(), 1)).first(offsetof(agent::Thread, frames));
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
    std::memcpy(ledger_.threads_.data() + indexes[i] * agent::kThreadsPerChunk, bytes.data(),
                bytes.size());
  });
}

void LedgerReader::read_nodes() {
  constexpr std::size_t kSize = agent::kNodesPerChunk * sizeof(agent::Node);
  std::vector<std::size_t> indexes;
  const auto chunks = claim_all(state_->nodes, kSize, indexes);
  if (chunks.empty()) return;
  ledger_.nodes_.resize((indexes.back() + 1) * agent::kNodesPerChunk);
  read_objects(chunks, kSize, [&](std::size_t i, std::span<const std::byte> bytes) {
    std::memcpy(ledger_.nodes_.data() + indexes[i] * agent::kNodesPerChunk, bytes.data(),
                bytes.size());
  });
}

// ---------------------------------------------------------------------------------------------

void LedgerReader::set_clock() {
  if ((state_->flags & agent::kRecordTime) == 0) return;
  ledger_.ms_per_tick_ = tsc_ms_per_cycle() * double(std::uint64_t{1} << agent::kTimeShift);
  ledger_.now_ticks_ = (tsc_now() - state_->start_tsc) >> agent::kTimeShift;
  if (progress_ == nullptr || progress_->kind() != ProcessKind::core) return;
  ledger_.now_ticks_ = 0;
  for (const Allocation& a : ledger_.recorded_) {
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
