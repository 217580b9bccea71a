// SPDX-License-Identifier: Apache-2.0
//
// Taking in the ledger (agent/protocol.h has the layouts): the state, then what it points to, in
// reads as large as the objects lie together. The inferior may be hostile: a pointer is followed
// once and only into the arena, an index is used only inside what was read, and what makes no sense
// is counted and left out.
//
//   ledger_reader.cc   state, threads, stacks, clock
//   ledger_blocks.cc   slots, odd table, reallocs in progress, mapping records
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "tracking/arena_claims.h"
#include "tracking/ledger.h"
#include "tracking/mapping_replay.h"

namespace heapledger {

class LedgerReader {
 public:
  LedgerReader(const Memory& memory, Address state, Target* progress)
      : memory_(memory), progress_(progress), address_(state) {}

  Result<Ledger> run();

 private:
  static constexpr std::size_t kWindow = 1 << 20;  // bytes a read; stays in the second-level cache

  Result<void> read_state();
  Result<void> check_arena();
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
  bool to_allocation(Address address, const agent::Slot& slot, Allocation& out);
  void check_references(Allocation& allocation);

  // Objects of `size` bytes each. Those that lie one behind the other are read together; `visit`
  // gets each one's position in the list and its readable bytes.
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

}  // namespace heapledger
