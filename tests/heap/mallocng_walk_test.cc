// SPDX-License-Identifier: Apache-2.0
//
// musl's heap of a real process against what the process says of it, and with words of it overwritten.
#include "heap/mallocng_walk.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "tests/heap/made_mallocng.h"
#include "tests/support/stopped_program.h"

namespace heapledger::test {
namespace {

// A process's memory with some words replaced.
class Overwritten final : public Memory {
 public:
  explicit Overwritten(std::uint64_t pid) : memory_(pid) {}
  void put(Address place, std::uint64_t value) { words_[place] = value; }

  std::size_t read_up_to(Address address, std::span<std::byte> out) const override {
    const std::size_t size = memory_.read_up_to(address, out);
    for (const auto& [place, value] : words_) {
      std::byte bytes[8];
      std::memcpy(bytes, &value, 8);
      for (std::size_t i = 0; i < 8; ++i) {
        if (place + i >= address && place + i < address + size) out[place + i - address] = bytes[i];
      }
    }
    return size;
  }

 private:
  LocalMemory memory_;
  std::map<Address, std::uint64_t> words_;
};

class MallocngWalk : public ::testing::TestWithParam<const char*> {
 protected:
  MallocngWalk() : program_(std::string(PROGRAMS) + "/random_blocks." + GetParam()), memory_(program_.pid()) {}

  HeapWalk walk() const {
    const auto mappings = read_mappings(program_.pid());
    const auto modules = ModuleList::read(program_.pid(), *mappings, program_.memory());
    EXPECT_TRUE(may_have_mallocng(*modules));
    auto walk = walk_heap(memory_, *mappings, *modules, {});
    EXPECT_TRUE(walk) << walk.error().message;
    return walk ? std::move(*walk) : HeapWalk{};
  }

  // What differs from what the program says of itself.
  std::vector<std::string> wrong(const HeapWalk& walk) const {
    std::vector<std::string> wrong;
    std::map<Address, std::uint64_t> found;
    for (const Block& block : walk.used) found[block.start] = block.size;
    for (const auto& [address, label] : program_.labels()) {
      const auto it = found.find(address);
      if (it == found.end() || it->second != label.size) {
        wrong.push_back(fmt::format("{:#x}: {} of {} bytes", address,
                                    it == found.end() ? "no block" : "another size", label.size));
      }
      found.erase(address);
    }
    for (const auto& [address, size] : found) wrong.push_back(fmt::format("{:#x}: not its own", address));
    return wrong;
  }

  StoppedProgram program_;
  Overwritten memory_;
};

TEST_P(MallocngWalk, EveryBlockIsFoundWithTheBytesAskedFor) {
  ASSERT_TRUE(program_.reached());
  ASSERT_GT(program_.labels().size(), 500u);
  const HeapWalk sound = walk();
  EXPECT_EQ(sound.messages, std::vector<std::string>());
  EXPECT_EQ(wrong(sound), std::vector<std::string>());
  EXPECT_TRUE(sound.requested_sizes);
  EXPECT_GT(sound.mapped, 0u);
  EXPECT_FALSE(sound.free.empty());
  for (const Block& block : sound.used) {
    EXPECT_TRUE(std::any_of(sound.regions.begin(), sound.regions.end(),
                            [&](const AddressRange& r) { return r.contains(block.start); }));
  }
}

TEST_P(MallocngWalk, ADamagedSlotIsToldAndItsMemoryUnknown) {
  const Block victim = walk().used[100];
  const Address header = victim.start - 8;
  const std::uint64_t before = memory_.read_value<std::uint64_t>(header).value_or(0);
  memory_.put(header, before ^ std::uint64_t{0x1f} << 40);  // its index in the group
  const HeapWalk damaged = walk();
  ASSERT_EQ(damaged.messages.size(), 1u);
  EXPECT_NE(damaged.messages[0].find("makes no sense"), std::string::npos) << damaged.messages[0];
  ASSERT_EQ(damaged.unknown.size(), 1u);
  EXPECT_TRUE(damaged.unknown[0].contains(victim.start));
  EXPECT_EQ(wrong(damaged).size(), 1u);
}

TEST_P(MallocngWalk, ADamagedGroupIsTold) {
  const HeapWalk sound = walk();
  const auto group = std::find_if(sound.regions.begin(), sound.regions.end(), [&](const AddressRange& r) {
    return std::any_of(sound.used.begin(), sound.used.end(),
                       [&](const Block& b) { return r.contains(b.start); });
  });
  ASSERT_NE(group, sound.regions.end());
  memory_.put(group->begin, 0x1234);
  const HeapWalk damaged = walk();
  ASSERT_FALSE(damaged.messages.empty());
  EXPECT_NE(damaged.messages[0].find("is damaged"), std::string::npos) << damaged.messages[0];
}

// Areas that lead back to the first one.
TEST_P(MallocngWalk, ACircleOfMetaAreasEnds) {
  const HeapWalk sound = walk();
  const Address area = sound.regions.front().begin;
  Address last = area;
  while (const Address next = memory_.read_value<Address>(last + 8).value_or(0)) last = next;
  memory_.put(last + 8, area);
  const HeapWalk damaged = walk();
  ASSERT_EQ(damaged.messages.size(), 1u);
  EXPECT_NE(damaged.messages[0].find("the list of meta areas breaks"), std::string::npos);
  EXPECT_EQ(wrong(damaged), std::vector<std::string>());
}

TEST(MadeMallocng, EveryBlockIsFound) {
  const made_mallocng::Process process;
  const auto walk = walk_mallocng_heap(process.memory, process.mappings(), process.modules());
  ASSERT_TRUE(walk) << walk.error().message;
  EXPECT_EQ(walk->messages, std::vector<std::string>());
  ASSERT_EQ(walk->used.size(), 7u + 1 + 4 + 1);  // small, large, nested, of a mapping of its own
  EXPECT_EQ(walk->used[0], (Block{made_mallocng::kGroups + 16, 64 - 4 - 20}));
  EXPECT_EQ(walk->used.back(), (Block{made_mallocng::kOwnMapping + 16, 3 * 4096 - 16 - 4 - 100}));
  EXPECT_EQ(walk->mapped, 1u);
}

INSTANTIATE_TEST_SUITE_P(Musl, MallocngWalk, ::testing::Values("musl", "musl-static"),
                         [](const auto& info) {
                           return std::string(info.param) == "musl" ? "Dynamic" : "Static";
                         });

}  // namespace
}  // namespace heapledger::test
