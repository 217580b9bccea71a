// SPDX-License-Identifier: Apache-2.0
//
// Islands: R-X memory near the functions they serve, cut into items, one per hooked function.
//
//   item +0    entry stub     lea site(%rip),%reg ; jmp *hook(%rip)
//        +16   hook           8 bytes, read by the stub
//        +32   Site           agent/protocol.h
//        +64   trampoline     the displaced instructions, then a jump back
//        +128  next item
//
// The stub and what it reads share one cache line; a call passes through two. An item that a thread
// may have entered is never given to another function: nothing tells when the last thread has left.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "agent/protocol.h"
#include "inferior/address.h"
#include "inferior/result.h"
#include "inferior/target.h"

namespace heapledger {

struct IslandItem {
  static constexpr std::uint64_t kSize = 128;
  static constexpr std::uint64_t kMaxTrampoline = 64;
  static constexpr std::uint64_t kAlignment = 64;

  Address address = 0;

  constexpr Address stub() const { return address; }
  constexpr Address hook() const { return address + 16; }
  constexpr Address site() const { return address + 32; }
  constexpr Address trampoline() const { return address + 64; }
};

struct IslandItemContents {
  agent::Shape shape = agent::Shape::malloc_like;
  Address hook = 0;
  agent::Site site = {};
  std::span<const std::uint8_t> trampoline;  // at most IslandItem::kMaxTrampoline bytes
};

// The item's bytes; nothing in them depends on where it stands but what `contents` brought along.
// What is not used is int3.
std::array<std::uint8_t, IslandItem::kSize> encode_item(const IslandItemContents& contents);

class Islands {
 public:
  explicit Islands(TargetControl& control) : control_(control) {}

  // A free item within +-2 GiB of all of `reach`, in an old island where possible.
  Result<IslandItem> take(AddressRange reach);
  // Only items that no thread can have seen.
  void give_back(IslandItem item) { unused_.push_back(item); }

  std::vector<AddressRange> ranges() const;
  void forget_all();

 private:
  struct Island {
    AddressRange range;
    Address next = 0;
  };
  static bool reaches(AddressRange island, AddressRange reach);
  Result<Island> open(AddressRange reach);

  TargetControl& control_;
  std::vector<Island> islands_;
  std::vector<IslandItem> unused_;
};

}  // namespace heapledger
