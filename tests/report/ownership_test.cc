// SPDX-License-Identifier: Apache-2.0
#include "report/ownership.h"

#include <gtest/gtest.h>

#include "tests/report/ledger_image.h"

namespace heapledger {
namespace {

using testing::FakeTarget;
using testing::LedgerImage;

constexpr Address kServer = 0x7f0000001000;  // held by g_server
constexpr Address kEntry = 0x7f0000002000;   // held by the server
constexpr Address kLost = 0x7f0000003000;
constexpr Address kChild = 0x7f0000004000;   // held by kLost
constexpr Address kGlobal = 0x404068;

class OwnershipTest : public ::testing::Test {
 protected:
  OwnershipTest() {
    target.function(0x401100, "open_server", 0x1f, "app", "/home/me/server.cc", 40);
    target.function(0x401200, "add_entry", 0x31, "app", "/home/me/cache.cc", 88);
    const auto opened = image.stack({0x401100});
    const auto added = image.stack({0x401200});
    image.block(kServer, 128, opened);
    image.block(kEntry, 64, added);
    image.block(kLost, 32, added);
    image.block(kChild, 16, 0);
    image.install(target.memory_);
    put(kGlobal, kServer);
    put(kServer + 24, kEntry);
    put(kLost, kChild);
    ledger = *Ledger::read(target.memory_, LedgerImage::kState);

    ScanInput input{.memory = target.memory_};
    std::vector<std::uint32_t> keys;
    for (const Allocation& allocation : ledger.recorded()) {
      input.blocks.push_back(allocation.block);
      keys.push_back(allocation.stack);
    }
    input.key = [keys](BlockIndexNumber b) { return keys[b]; };
    input.roots.roots = {{.kind = RootKind::global, .range = {kGlobal, kGlobal + 8}, .name = "app"}};
    scan.emplace(ProcessScan{.scan = *heapledger::scan(std::move(input)),
                             .allocations = {0, 1, 2, 3}});
  }

  void put(Address place, std::uint64_t value) {
    const Address begin = place & ~Address{0xfff};
    auto& bytes = target.memory_.segments[begin];
    bytes.resize(0x1000);
    std::memcpy(bytes.data() + (place - begin), &value, sizeof value);
  }
  std::string text(const Ownership& ownership) {
    FrameResolver frames(target, {});
    return ownership_text(ownership, *scan, ledger, {}, frames);
  }

  // g_server -> kServer -> kEntry, as analysis finds it.
  Ownership entry() const {
    Ownership ownership{.what = Ownership::What::block,
                        .address = kEntry + 16,
                        .block = 1,
                        .verdict = Verdict::still_reachable};
    OwnerLink root{.reference = {.slot = kGlobal, .value = kServer},
                   .target = 0,
                   .expression = "*(void**)0x404068"};
    root.place = PlaceName{.kind = RootKind::global,
                           .text = "g_server+8 [app]",
                           .symbol = "g_server",
                           .offset = 8,
                           .module = "app",
                           .file = "/home/me/server.cc",
                           .line = 12};
    OwnerLink link{.reference = {.holder = Reference::Holder::block,
                                 .block = 0,
                                 .slot = kServer + 24,
                                 .value = kEntry},
                   .target = 1,
                   .holder_offset = 24,
                   .expression = "*(void**)(0x7f0000001000+24)"};
    ownership.chain = {root, link};
    return ownership;
  }

  FakeTarget target;
  LedgerImage image;
  Ledger ledger;
  std::optional<ProcessScan> scan;
};

TEST_F(OwnershipTest, TheChainLeadsFromTheRootToTheBlock) {
  EXPECT_EQ(text(entry()),
            "0x7f0000002010 is 16 bytes inside the block 0x7f0000002000 of 64 bytes: still "
            "reachable\n"
            "  global       g_server+8 [app] server.cc:12\n"
            "               *(void**)0x404068 = 0x7f0000001000\n"
            "  block        0x7f0000001000, 128 bytes, allocated at open_server+0x1f [app] "
            "server.cc:40\n"
            "               *(void**)(0x7f0000001000+24) = 0x7f0000002000\n"
            "  block        0x7f0000002000, 64 bytes, allocated at add_entry+0x31 [app] "
            "cache.cc:88\n");
}

TEST_F(OwnershipTest, OtherHoldersAreListed) {
  Ownership ownership = entry();
  OwnerLink other{.reference = {.value = kEntry + 8, .in_register = true},
                  .target = 1,
                  .target_offset = 8,
                  .expression = "$rbx"};
  other.place = PlaceName{.kind = RootKind::registers, .text = "thread 4 rbx"};
  ownership.other_roots = {other};
  ownership.more_holders = 3;
  const std::string all = text(ownership);
  EXPECT_EQ(all.substr(all.find("other roots")),
            "other roots that point to it:\n"
            "  register     thread 4 rbx\n"
            "               $rbx = 0x7f0000002008 (8 bytes inside)\n"
            "3 more holders (--all lists them)\n");
}

TEST_F(OwnershipTest, ALostHeadSaysWhatItLeadsTo) {
  Ownership ownership{.what = Ownership::What::block,
                      .address = kLost,
                      .block = 2,
                      .verdict = Verdict::definitely_lost,
                      .group = LostGroup{2, {16, 1}}};
  EXPECT_EQ(text(ownership),
            "0x7f0000003000 is a block of 32 bytes: definitely lost\n"
            "  block        0x7f0000003000, 32 bytes, allocated at add_entry+0x31 [app] "
            "cache.cc:88\n"
            "nothing points to it\n"
            "it is the head of its group and leads to 16 more bytes in 1 blocks\n");
}

TEST_F(OwnershipTest, AnIndirectlyLostBlockNamesItsHolderAndHead) {
  Ownership ownership{.what = Ownership::What::block,
                      .address = kChild,
                      .block = 3,
                      .verdict = Verdict::indirectly_lost,
                      .group = LostGroup{2, {16, 1}}};
  ownership.other_blocks = {OwnerLink{.reference = {.holder = Reference::Holder::block,
                                                    .block = 2,
                                                    .slot = kLost,
                                                    .value = kChild},
                                      .target = 3,
                                      .expression = "*(void**)0x7f0000003000"}};
  EXPECT_EQ(text(ownership),
            "0x7f0000004000 is a block of 16 bytes: indirectly lost\n"
            "  block        0x7f0000004000, 16 bytes, allocated at <stack not recorded>\n"
            "lost blocks that point to it:\n"
            "  block        0x7f0000003000, 32 bytes, allocated at add_entry+0x31 [app] "
            "cache.cc:88\n"
            "               *(void**)0x7f0000003000 = 0x7f0000004000\n"
            "head of its group:\n"
            "  block        0x7f0000003000, 32 bytes, allocated at add_entry+0x31 [app] "
            "cache.cc:88\n");
}

TEST_F(OwnershipTest, WhatIsNoBlockIsDescribed) {
  EXPECT_EQ(text({.what = Ownership::What::stack,
                  .address = 0x7ffc00001000,
                  .description = "stack of thread 3, frame 2 parse()"}),
            "0x7ffc00001000 is no block: stack of thread 3, frame 2 parse()\n");
}

TEST_F(OwnershipTest, JsonHasEveryLink) {
  FrameResolver frames(target, {});
  const Json json = ownership_json(entry(), *scan, ledger, frames);
  EXPECT_EQ(json["class"], "still reachable");
  EXPECT_EQ(json["offset"], 16);
  EXPECT_EQ(json["block"]["address"], kEntry);
  EXPECT_EQ(json["chain"][0]["root"]["symbol"], "g_server");
  EXPECT_EQ(json["chain"][0]["root"]["kind"], "global");
  EXPECT_EQ(json["chain"][1]["block"]["address"], kServer);
  EXPECT_EQ(json["chain"][1]["offset"], 24);
  EXPECT_EQ(json["chain"][1]["expression"], "*(void**)(0x7f0000001000+24)");
  EXPECT_EQ(json["chain"][1]["target"], kEntry);
  EXPECT_TRUE(json["group"].is_null());
}

}  // namespace
}  // namespace heapledger
