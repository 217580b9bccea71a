// SPDX-License-Identifier: Apache-2.0
#include "inferior/thread_pointer.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

namespace heapledger {
namespace {

constexpr std::uint64_t kBlock = 2048;             // bytes of a control block within which its id stands
constexpr std::uint64_t kAlignment = 16;           // at least
constexpr std::uint64_t kStackEnd = 64 << 10;      // of a stack, where its thread's block is
constexpr std::uint64_t kMostOfMapping = 4 << 20;  // its beginning
constexpr std::uint64_t kMostOfAll = 64 << 20;

template <typename T>
T word(std::span<const std::byte> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

bool has_id(std::span<const std::byte> block, std::uint64_t tid) {
  for (std::size_t at = 16; at + 4 <= block.size(); at += 4) {
    if (word<std::uint32_t>(block, at) == tid) return true;
  }
  return false;
}

// Rising addresses: a copy of a block further up is a dead one's.
Address find_in(const Memory& memory, AddressRange range, std::uint64_t tid) {
  range.begin = (range.begin + kAlignment - 1) / kAlignment * kAlignment;
  if (range.empty()) return 0;
  std::vector<std::byte> bytes(range.size());
  bytes.resize(memory.read_up_to(range.begin, bytes));
  for (std::size_t at = 0; at + 16 <= bytes.size(); at += kAlignment) {
    // What is second is the dtv; of an empty list of glibc's both are its own address.
    if (word<Address>(bytes, at) != range.begin + at || word<Address>(bytes, at + 8) == range.begin + at) continue;
    const auto rest = std::span<const std::byte>(bytes).subspan(at);
    if (has_id(rest.first(std::min<std::size_t>(rest.size(), kBlock)), tid)) return range.begin + at;
  }
  return 0;
}

}  // namespace

Address find_thread_pointer(const Memory& memory, const Mappings& mappings, std::uint64_t tid, Address sp) {
  if (const Mapping* stack = find_mapping(mappings, sp)) {
    const Address begin = stack->range.size() > kStackEnd ? stack->range.end - kStackEnd : stack->range.begin;
    if (const Address found = find_in(memory, {begin, stack->range.end}, tid)) return found;
  }
  std::uint64_t left = kMostOfAll;
  for (const Mapping& m : mappings) {
    if (!m.readable || !m.writable || m.shared || m.range.contains(sp)) continue;
    const std::uint64_t size = std::min({m.range.size(), kMostOfMapping, left});
    left -= size;
    if (const Address found = find_in(memory, {m.range.begin, m.range.begin + size}, tid)) return found;
  }
  return 0;
}

}  // namespace heapledger
