// SPDX-License-Identifier: Apache-2.0
//
// The heap of a musl process whose words were overwritten, and whose mappings are not what they were: the
// program decides both.
#include "tests/fuzz/damage.h"
#include "tests/heap/made_mallocng.h"

using namespace heapledger;
using namespace heapledger::made_mallocng;

namespace {

// Where a word means something.
constexpr AddressRange kPlaces[] = {{kContext, kContext + 0x80},
                                    {kAreas, kAreas + 0x200},
                                    {kAreas + 0x1000, kAreas + 0x1200},
                                    {kGroups, kGroups + 0x2000},
                                    {kOwnMapping, kOwnMapping + 0x20}};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Process process;
  Mappings mappings = Process::mappings();
  fuzz::Damage damage(input, kPlaces);
  damage.to(process.memory, mappings, [&] { return damage.place() & ~Address{0xfff}; },
            [&](Mapping& mapping, Address) {
              mapping.range.end = mapping.range.begin + (input.number<std::uint8_t>() % 64 + 1) * std::uint64_t{4096};
            });
  const auto walk = walk_mallocng_heap(process.memory, mappings, Process::modules());
  if (!walk) return 0;
  for (std::size_t i = 0; i < walk->used.size(); ++i) {
    const Block& block = walk->used[i];
    fuzz::require(block.range().end >= block.start);
    fuzz::require(i == 0 || walk->used[i - 1].start <= block.start);
    fuzz::require(find_mapping(mappings, block.start) != nullptr);
  }
  return 0;
}
