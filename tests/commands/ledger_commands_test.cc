// SPDX-License-Identifier: Apache-2.0
//
// top, block and status over a ledger written by hand.
#include <nlohmann/json.hpp>

#include "tests/commands/command_test_base.h"

namespace heapledger {
namespace {

using Json = nlohmann::json;

class LedgerCommands : public testing::CommandTest {
 protected:
  LedgerCommands() {
    target.function(0x40118f, "fibonacci", 0x1f, "app", "/home/me/fib.c", 12);
    target.function(0x401252, "child", 0x12, "app", "/home/me/fib.c", 33);
    target.function(0x401300, "main", 0x40, "app", "/home/me/fib.c", 50);
    const auto thread = image.thread(4712);
    const auto steps = image.stack({0x40118f, 0x401252});
    for (Address start : {0x7f0000001220, 0x7f0000003230, 0x7f0000005240}) {
      image.block(start, 8192, steps, thread);
    }
    image.block(0x7f0000010000, 24, image.stack({0x401300}), thread, agent::Kind::operator_new);
    track(image);
    context.make_scan = [](const Ledger&, const ProcessScanOptions&) -> Result<ProcessScan> {
      return fail("no scan");
    };
  }
  // "[12:34:56]" of the hour this runs at.
  static std::string without_time(const std::string& text) { return text.substr(text.find(']') + 2); }

  testing::LedgerImage image;
};

TEST_F(LedgerCommands, TopShowsTheLargestFirst) {
  const std::string text = out("top");
  EXPECT_TRUE(std::regex_search(text, std::regex(R"(^\[\d\d:\d\d:\d\d\] Top)"))) << text;
  EXPECT_EQ(without_time(text),
            "Top 2 stacks with outstanding allocations:\n"
            "\t24576 bytes in 3 allocations from stack\n"
            "\t\tfibonacci+0x1f [app] fib.c:12\n"
            "\t\tchild+0x12 [app] fib.c:33\n"
            "\t24 bytes in 1 allocations from stack\n"
            "\t\tmain+0x40 [app] fib.c:50\n");
}

TEST_F(LedgerCommands, AShortNameAndALimit) {
  EXPECT_EQ(without_time(out("to 1 --addresses")),
            "Top 1 stacks with outstanding allocations:\n"
            "\taddr = 7f0000001220 size = 8192\n"
            "\taddr = 7f0000003230 size = 8192\n"
            "\taddr = 7f0000005240 size = 8192\n"
            "\t24576 bytes in 3 allocations from stack\n"
            "\t\tfibonacci+0x1f [app] fib.c:12\n"
            "\t\tchild+0x12 [app] fib.c:33\n");
}

TEST_F(LedgerCommands, SizesFilter) {
  EXPECT_EQ(without_time(out("top --max-size 1k")),
            "Top 1 stacks with outstanding allocations:\n"
            "\t24 bytes in 1 allocations from stack\n"
            "\t\tmain+0x40 [app] fib.c:50\n");
  EXPECT_EQ(out("top --min-size 1M"),
            "No outstanding allocations match --min-size 1M (4 do not match).\n");
}

TEST_F(LedgerCommands, ALateStartIsSaid) {
  context.tracked_from_start = false;
  const std::string text = out("top");
  EXPECT_EQ(text.substr(text.find("note:")),
            "note: tracking was not seen to begin with the process: blocks from before it are "
            "neither listed nor judged (cannot find the heap: no module is glibc)\n");
}

TEST_F(LedgerCommands, JsonOfTop) {
  const Json report = Json::parse(out("top 1 --format json --addresses"));
  EXPECT_EQ(report["groups"][0]["bytes"], 24576);
  EXPECT_EQ(report["groups"][0]["allocations"][2]["address"], 0x7f0000005240);
  EXPECT_EQ(report["groups"][0]["allocations"][2]["thread"], 4712);
  EXPECT_EQ(report["total"], (Json{{"bytes", 24600}, {"count", 4}, {"groups", 2}}));
}

TEST_F(LedgerCommands, TheLedgerIsReadOncePerStop) {
  int reads = 0;
  context.read_ledger = [&] {
    ++reads;
    return Ledger::read(target.memory_, testing::LedgerImage::kState);
  };
  context.forget_ledger();
  out("top");
  out("block 7f0000001220");
  EXPECT_EQ(reads, 1);
  target.stop_ = 2;
  out("top");
  EXPECT_EQ(reads, 2);
}

TEST_F(LedgerCommands, BlockTellsWhatIsKnown) {
  target.threads_ = {ThreadState{.tid = 4712, .index = 2}};
  EXPECT_EQ(out("block 0x7f0000003240"),
            "block:    0x7f0000003230, 8192 bytes\n"
            "address:  0x7f0000003240, 16 bytes inside\n"
            "kind:     malloc\n"
            "class:    none (no scan)\n"
            "age:      not recorded\n"
            "thread:   4712 (thread 2 of the debugger)\n"
            "stack:\n"
            "\t\tfibonacci+0x1f [app] fib.c:12\n"
            "\t\tchild+0x12 [app] fib.c:33\n");
}

TEST_F(LedgerCommands, BlockTakesJsonsDecimalAddresses) {
  const std::string text = out("block 139637976793088");  // 0x7f0000010000
  EXPECT_EQ(text.substr(0, text.find("kind")),
            "block:    0x7f0000010000, 24 bytes\n"
            "address:  0x7f0000010000, its start\n");
}

TEST_F(LedgerCommands, BlockOfAnAddressInNone) {
  target.mappings_ = {{.range = {0x7f0000000000, 0x7f0000020000},
                       .readable = true,
                       .writable = true,
                       .name = "[heap]"}};
  EXPECT_EQ(out("block 0x7f0000010020"),
            "0x7f0000010020 is in no outstanding block; it is in the mapping "
            "0x7f0000000000-0x7f0000020000 rw-p [heap]\n"
            "It is 8 bytes after the block 0x7f0000010000 of 24 bytes.\n");
  EXPECT_EQ(out("block 0x10"), "0x10 is in no outstanding block; nothing is mapped there\n");
}

TEST_F(LedgerCommands, JsonOfBlock) {
  const Json report = Json::parse(out("block 7f0000010008 --format json"));
  EXPECT_EQ(report["block"]["address"], 0x7f0000010000);
  EXPECT_EQ(report["block"]["offset"], 8);
  EXPECT_EQ(report["block"]["kind"], "operator new");
  EXPECT_EQ(report["block"]["stack"][0]["function"], "main");
}

TEST_F(LedgerCommands, StatusCounts) {
  image.state().dropped = 3;
  track(image);
  const std::string text = out("status");
  EXPECT_NE(text.find("outstanding:   24600 bytes in 4 heap blocks\n"), std::string::npos) << text;
  EXPECT_NE(text.find("dropped:       3 allocations, 0 mapped segments, 0 stacks\n"),
            std::string::npos) << text;
  EXPECT_EQ(Json::parse(out("status --format json"))["ledger"]["dropped"], 3);
}

TEST_F(LedgerCommands, StatusWithoutAProcess) {
  context.read_ledger = nullptr;
  target.state_ = ProcessState::none;
  EXPECT_EQ(out("status"),
            "tracking:      armed (starts with the next launch)\n"
            "auto:          on\n"
            "process:       none\n");
}

}  // namespace
}  // namespace heapledger
