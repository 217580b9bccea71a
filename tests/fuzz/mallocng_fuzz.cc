// SPDX-License-Identifier: Apache-2.0
//
// The heap of a musl process whose words were overwritten, and whose mappings are not what they were: the
// program decides both.
#include "tests/fuzz/input.h"
#include "tests/heap/made_mallocng.h"

using namespace heapledger;
using namespace heapledger::made_mallocng;

namespace {

constexpr unsigned kMostSteps = 48;

// Where a word means something.
constexpr AddressRange kPlaces[] = {{kContext, kContext + 0x80},
                                    {kAreas, kAreas + 0x200},
                                    {kAreas + 0x1000, kAreas + 0x1200},
                                    {kGroups, kGroups + 0x2000},
                                    {kOwnMapping, kOwnMapping + 0x20}};

Address place(fuzz::Input& input) {
  const AddressRange& range = kPlaces[input.number<std::uint8_t>() % std::size(kPlaces)];
  return range.begin + input.number<std::uint16_t>() % (range.size() / 8) * 8;
}

std::uint64_t value(fuzz::Input& input) {
  switch (input.number<std::uint8_t>() % 4) {
    case 0: return place(input);
    case 1: return place(input) & ~Address{0xfff};
    case 2: return input.number<std::uint16_t>();
    default: return input.number<std::uint64_t>();
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Process process;
  Mappings mappings = Process::mappings();
  for (unsigned i = 0; i < kMostSteps && !input.done(); ++i) {
    if (input.number<std::uint8_t>() % 8 == 0) {
      AddressRange& range = mappings[input.number<std::uint8_t>() % mappings.size()].range;
      range.end = range.begin + (input.number<std::uint8_t>() % 64 + 1) * std::uint64_t{4096};
    } else {
      const Address at = place(input);
      process.memory.write(at, value(input));
    }
  }
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
