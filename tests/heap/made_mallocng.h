// SPDX-License-Identifier: Apache-2.0
//
// The heap of musl's malloc made by hand, word by word: a context in libc's data, two meta areas, groups of
// small slots, one inside another one's slot, a block with a mapping of its own, an aligned one.
#pragma once

#include <cstdint>
#include <vector>

#include "heap/mallocng_walk.h"
#include "tests/analysis/fake_memory.h"

namespace heapledger::made_mallocng {

inline constexpr Address kData = 0x7f0000000000;  // of ld-musl-x86_64.so.1
inline constexpr Address kContext = kData + 0x9c0;
inline constexpr Address kAreas = 0x7f0000100000;
inline constexpr Address kGroups = 0x7f0000200000;
inline constexpr Address kOwnMapping = 0x7f0000300000;
inline constexpr std::uint64_t kSecret = 0x5eed5eed5eed5eed;

class Process {
 public:
  Process() {
    for (const Mapping& m : mappings()) memory.map(m.range);
    memory.write(kContext, kSecret);
    memory.write(kContext + 56, kAreas);
    memory.write(kContext + 64, kAreas + 0x1000);
    area(kAreas, kAreas + 0x1000);
    area(kAreas + 0x1000, 0);
    // 10 slots of 64 bytes in a page: 2 are free.
    const Address small = meta(kAreas, 0, kGroups, 0x00c, 0x010 | 0x008, 9, 3, 1);
    for (unsigned i = 0; i < 10; ++i) slot(small, kGroups, 64, i, i == 5 ? 0 : 20);
    // 2 slots of 1008 bytes in another page, the second of which holds a group of 15 slots of 48 bytes.
    const Address large = meta(kAreas, 1, kGroups + 0x1000, 0, 0, 1, 19, 1);
    slot(large, kGroups + 0x1000, 1008, 0, 300);
    const Address inner = kGroups + 0x1000 + 16 + 1008;
    slot(large, kGroups + 0x1000, 1008, 1, 0);
    memory.write(inner - 8, memory.read_value<std::uint64_t>(inner - 8).value_or(0) | 6ull << 45);
    const Address nested = meta(kAreas + 0x1000, 0, inner, 0x7ff0, 0, 14, 2, 0);
    for (unsigned i = 0; i < 4; ++i) slot(nested, inner, 48, i, 7);
    const Address own = meta(kAreas + 0x1000, 7, kOwnMapping, 0, 0, 0, 63, 3);
    slot(own, kOwnMapping, 3 * 4096 - 16, 0, 100);
  }

  static Mappings mappings() {
    const auto mapping = [](Address begin, std::uint64_t size, bool file) {
      return Mapping{.range = {begin, begin + size}, .readable = true, .writable = true,
                     .inode = file ? 1u : 0u, .name = file ? "/lib/ld-musl-x86_64.so.1" : ""};
    };
    return {mapping(kData, 0x3000, true), mapping(kAreas, 0x2000, false),
            mapping(kGroups, 0x2000, false), mapping(kOwnMapping, 0x3000, false)};
  }
  static std::vector<Module> modules() {
    return {Module{.path = "/lib/ld-musl-x86_64.so.1", .name = "ld-musl-x86_64.so.1",
                   .range = {kData, kData + 0x3000}}};
  }

  test::FakeMemory memory;

 private:
  void area(Address at, Address next) {
    memory.write(at, kSecret);
    memory.write(at + 8, next);
    memory.write(at + 16, 8);
  }
  Address meta(Address area, unsigned number, Address group, std::uint32_t avail, std::uint32_t freed,
               std::uint64_t last, std::uint64_t size_class, std::uint64_t pages) {
    const Address at = area + 24 + 40 * number;
    memory.write(at + 16, group);
    memory.write(at + 24, avail | std::uint64_t{freed} << 32);
    memory.write(at + 32, last | size_class << 6 | pages << 12);
    memory.write(group, at);
    return at;
  }
  // Its block has `rest` bytes less than there is room for.
  void slot(Address, Address group, std::uint64_t stride, std::uint64_t index, std::uint64_t rest) {
    const Address start = group + 16 + stride * index;
    const Address end = start + stride - 4;
    const std::uint64_t reserved = rest < 5 ? rest : 5;
    const std::uint64_t header =
        (index | reserved << 5) << 40 | (start - group - 16) / 16 << 48;  // bytes -3, and -2 and -1
    const auto before = memory.read_value<std::uint64_t>(start - 8).value_or(0);
    memory.write(start - 8, (before & 0xffffffff) | header);
    if (reserved < 5) return;
    const auto last = memory.read_value<std::uint64_t>(end - 4).value_or(0);
    memory.write(end - 4, (last & ~std::uint64_t{0xffffffff}) | rest);
  }
};

}  // namespace heapledger::made_mallocng
