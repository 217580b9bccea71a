// SPDX-License-Identifier: Apache-2.0
//
// The heap of a glibc process whose words were overwritten, and whose mappings are not what they were:
// the program decides both.
#include "tests/fuzz/damage.h"
#include "tests/heap/made_glibc.h"

using namespace heapledger;
using namespace heapledger::made_glibc;

namespace {

// Where a word means something.
constexpr AddressRange kPlaces[] = {
    {kArena, kArena + kArenaSize},
    {kParameters, kParameters + 0x100},
    {kTls, kTls + 0x40},
    {kHeap, kHeap + 0x2000},
    {kThread - 0x40, kThread + 0x40},
    {kOtherHeap, kOtherHeap + 0xa00},
    {made_glibc::kMapped, made_glibc::kMapped + 0x3000},
};

void change(fuzz::Input& input, Mapping& mapping, Address limit) {
  const auto flags = input.number<std::uint8_t>();
  mapping.readable = (flags & 1) != 0;
  mapping.writable = (flags & 2) != 0;
  mapping.shared = (flags & 4) != 0;
  const std::uint64_t pages = (limit - mapping.range.begin) / 4096;
  const std::uint64_t wanted = input.number<std::uint64_t>() >> (flags >> 3) * 2;
  mapping.range.end = mapping.range.begin + (wanted % pages + 1) * 4096;
  if ((flags & 8) != 0) mapping.name = "[heap]";
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Process process(kReleases[input.number<std::uint8_t>() % std::size(kReleases)]);
  Mappings mappings = Process::mappings();
  std::vector<ThreadTcb> threads;
  if (input.number<std::uint8_t>() % 2 == 0) threads.push_back({1, kThread});
  fuzz::Damage damage(input, kPlaces);
  damage.to(process.memory, mappings,
            [&] { return damage.place() ^ damage.place() >> 12; },  // a mangled link
            [&](Mapping& mapping, Address limit) { change(input, mapping, limit); });
  const auto walk = process.walk(mappings, threads);
  if (!walk) return 0;
  const auto before = [](const Block& a, const Block& b) { return a.start < b.start; };
  fuzz::require(std::is_sorted(walk->used.begin(), walk->used.end(), before));
  fuzz::require(std::is_sorted(walk->free.begin(), walk->free.end(), before));
  return 0;
}
