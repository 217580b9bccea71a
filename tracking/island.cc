// SPDX-License-Identifier: Apache-2.0
#include "tracking/island.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace heapledger {
namespace {

constexpr std::uint64_t kIslandSize = 16384;
constexpr std::uint64_t kReach = 0x7fff0000;  // of a rel32, with room for the instruction itself

// REX and ModRM bytes of `lea disp32(%rip), reg`.
struct LeaCode {
  std::uint8_t rex;
  std::uint8_t modrm;
};

LeaCode lea_of(agent::Shape shape) {
  constexpr LeaCode kRsi{0x48, 0x35}, kRdx{0x48, 0x15}, kRcx{0x48, 0x0d};
  constexpr LeaCode kR9{0x4c, 0x0d}, kR11{0x4c, 0x1d};
  switch (shape) {
    case agent::Shape::malloc_like:
    case agent::Shape::shmdt:
      return kRsi;
    case agent::Shape::calloc_like:
    case agent::Shape::realloc_like:
    case agent::Shape::aligned_like:
    case agent::Shape::munmap:
      return kRdx;
    case agent::Shape::reallocarray:
    case agent::Shape::posix_memalign:
    case agent::Shape::free_like:
    case agent::Shape::shmat:
      return kRcx;
    case agent::Shape::mremap:
      return kR9;
    case agent::Shape::new_like:
    case agent::Shape::delete_like:
    case agent::Shape::mmap:
      return kR11;
  }
  return kR11;
}

}  // namespace

std::array<std::uint8_t, IslandItem::kSize> encode_item(const IslandItemContents& contents) {
  assert(contents.trampoline.size() <= IslandItem::kMaxTrampoline);
  constexpr IslandItem kAtZero;
  const LeaCode lea = lea_of(contents.shape);
  constexpr auto site_distance = std::uint8_t(kAtZero.site() - 7);   // from behind the lea
  constexpr auto hook_distance = std::uint8_t(kAtZero.hook() - 13);  // from behind the jmp
  const std::uint8_t load_site[] = {lea.rex, 0x8d, lea.modrm, site_distance, 0, 0, 0};
  const std::uint8_t jump_to_hook[] = {0xff, 0x25, hook_distance, 0, 0, 0};
  std::array<std::uint8_t, IslandItem::kSize> item;
  item.fill(0xcc);
  std::memcpy(&item[kAtZero.stub()], load_site, sizeof load_site);
  std::memcpy(&item[kAtZero.stub() + sizeof load_site], jump_to_hook, sizeof jump_to_hook);
  std::memcpy(&item[kAtZero.hook()], &contents.hook, sizeof contents.hook);
  std::memcpy(&item[kAtZero.site()], &contents.site, sizeof contents.site);
  std::copy(contents.trampoline.begin(), contents.trampoline.end(),
            item.begin() + kAtZero.trampoline());
  return item;
}

bool Islands::reaches(AddressRange island, AddressRange reach) {
  return std::max(island.end, reach.end) - std::min(island.begin, reach.begin) <= kReach;
}

Result<IslandItem> Islands::take(AddressRange reach) {
  const auto fits = [reach](IslandItem item) {
    return reaches({item.address, item.address + IslandItem::kSize}, reach);
  };
  const auto unused = std::find_if(unused_.begin(), unused_.end(), fits);
  if (unused != unused_.end()) {
    const IslandItem item = *unused;
    unused_.erase(unused);
    return item;
  }
  auto island = std::find_if(islands_.begin(), islands_.end(), [reach](const Island& candidate) {
    return candidate.next + IslandItem::kSize <= candidate.range.end &&
           reaches(candidate.range, reach);
  });
  if (island == islands_.end()) {
    auto opened = open(reach);
    if (!opened) return fail("no memory near it: {}", opened.error().message);
    island = islands_.insert(islands_.end(), *opened);
  }
  const IslandItem item{island->next};
  island->next += IslandItem::kSize;
  return item;
}

Result<Islands::Island> Islands::open(AddressRange reach) {
  const auto address = control_.allocate(kIslandSize, true, reach);
  if (!address) return tl::unexpected(address.error());
  const Island island{{*address, *address + kIslandSize}, *address};
  if (!reaches(island.range, reach)) {
    return fail("{:#x} is more than 2 GiB from {:#x}..{:#x}", *address, reach.begin, reach.end);
  }
  return island;
}

std::vector<AddressRange> Islands::ranges() const {
  std::vector<AddressRange> result;
  for (const Island& island : islands_) result.push_back(island.range);
  return result;
}

void Islands::forget_all() {
  islands_.clear();
  unused_.clear();
}

}  // namespace heapledger
