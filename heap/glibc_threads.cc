// SPDX-License-Identifier: Apache-2.0
//
// Thread control blocks: by the lists _dl_stack_used and _dl_stack_user, else by their shape.
#include "heap/glibc_threads.h"

#include <algorithm>
#include <array>
#include <set>

#include "heap/glibc_descriptors.h"
#include "heap/window.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kMostThreads = 1u << 20;
constexpr std::uint64_t kTcbAlignment = 64;
constexpr std::uint64_t kMostPthread = 8192;  // bytes of struct pthread before its list node

bool is_tcb(Window& window, Address at) {
  return at != 0 && window.word(at) == at && window.word(at + 16) == at;
}

// The thread whose list node is at `node`: the closest thread control block before it.
std::optional<Address> tcb_before(Window& window, Address node) {
  for (Address at = node & ~(kTcbAlignment - 1); node - at < kMostPthread; at -= kTcbAlignment) {
    if (is_tcb(window, at)) {
      return at;
    }
  }
  return std::nullopt;
}

// Follows one list_t ring {next, prev}; false when it is damaged.
bool follow_list(const Memory& memory, Address head, std::set<Address>& tcbs) {
  Window window(memory);
  Address node = memory.read_value<Address>(head).value_or(0);
  for (std::size_t steps = 0; node != head; ++steps) {
    const auto tcb = tcb_before(window, node);
    const auto next = memory.read_value<Address>(node);
    if (!tcb || !next || steps > kMostThreads) {
      return false;
    }
    tcbs.insert(*tcb);
    node = *next;
  }
  return true;
}

bool may_hold_tcb(const Mapping& mapping) {
  return mapping.writable && mapping.readable && !mapping.is_file() && !mapping.shared;
}

std::set<Address> find_by_shape(const Memory& memory, const Mappings& mappings) {
  std::set<Address> tcbs;
  for (const Mapping& mapping : mappings) {
    if (!may_hold_tcb(mapping)) {
      continue;
    }
    Window window(memory);
    Address at = (mapping.range.begin + 63) & ~(kTcbAlignment - 1);
    while (at < mapping.range.end && mapping.range.end - at >= 24) {
      if (is_tcb(window, at)) {
        tcbs.insert(at);
      }
      at = window.word(at) ? at + kTcbAlignment : (at | (kPage - 1)) + 1;
    }
  }
  return tcbs;
}

}  // namespace

std::vector<ThreadTcb> find_tcbs(const Memory& memory, const Mappings& mappings,
                                 const std::vector<Module>& modules, const Glibc& glibc) {
  std::set<Address> tcbs;
  const std::vector<Address> heads = thread_list_heads(modules, glibc);
  bool whole = !heads.empty();
  for (const Address head : heads) {
    whole = follow_list(memory, head, tcbs) && whole;
  }
  if (!whole || tcbs.empty()) {
    tcbs.merge(find_by_shape(memory, mappings));
  }
  const auto tid_offset = descriptor_offset(modules, "_thread_db_pthread_tid");
  std::vector<ThreadTcb> threads;
  for (const Address tcb : tcbs) {
    const auto tid = tid_offset ? memory.read_value<std::int32_t>(tcb + *tid_offset) : std::nullopt;
    threads.push_back({tid && *tid > 0 ? static_cast<std::uint64_t>(*tid) : 0, tcb});
  }
  return threads;
}

}  // namespace heapledger
