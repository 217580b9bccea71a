// SPDX-License-Identifier: Apache-2.0
//
// leaks, at-exit, verdict, roots over a small heap:
//
//     root global -> kept        kept 1,024   still reachable
//     lost 16 -> child           lost         definitely lost
//                                child 48     indirectly lost
//     root global -> inner + 8   inner 64     possibly lost
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

#include "commands/exit_report.h"
#include "commands/judgement.h"
#include "tests/commands/command_test_base.h"

namespace heapledger {
namespace {

using Json = nlohmann::json;

constexpr Address kHeap = 0x7f0000000000;
constexpr Address kKept = kHeap + 0x1000;
constexpr Address kLost = kHeap + 0x2000;
constexpr Address kChild = kHeap + 0x3000;
constexpr Address kInner = kHeap + 0x4000;
constexpr Address kGlobals = 0x404000;

class ScanCommands : public testing::CommandTest {
 protected:
  ScanCommands() {
    target.function(0x401100, "mk(int)", 0x10, "app", "/home/me/t.cpp", 6);
    target.function(0x401200, "main", 0x20, "app", "/home/me/t.cpp", 9);
    target.function(0x401300, "keep", 0x30, "app");
    target.mappings_ = {{.range = {0x401000, 0x402000}, .inode = 1, .name = "/usr/bin/app"}};
    const auto made = image.stack({0x401100, 0x401200});
    image.block(kKept, 1024, image.stack({0x401300}));
    image.block(kLost, 16, made);
    image.block(kChild, 48, image.stack({0x401200}));
    image.block(kInner, 64, 0);
    image.state().other_allocations = 12345;
    image.state().other_releases = 3;
    image.state().other_bytes = 76976;
    word(kLost, kChild);
    word(kGlobals, kKept);
    word(kGlobals + 8, kInner + 8);
    track(image);
    context.make_scan = [this](const Ledger& ledger, const ProcessScanOptions& options) {
      return make_scan(ledger, options);
    };
  }

  void word(Address place, std::uint64_t value) {
    auto& bytes = place < kHeap ? target.memory_.segments[kGlobals] : target.memory_.segments[kHeap];
    const Address begin = place < kHeap ? kGlobals : kHeap;
    bytes.resize(0x5000);
    std::memcpy(bytes.data() + (place - begin), &value, sizeof value);
  }

  Result<ProcessScan> make_scan(const Ledger& ledger, const ProcessScanOptions& options) {
    ++scans;
    ScanInput input{.memory = target.memory_};
    std::vector<std::uint32_t> positions, keys;
    for (const Allocation& allocation : ledger.recorded()) {
      positions.push_back(std::uint32_t(positions.size()));
      input.blocks.push_back(allocation.block);
      keys.push_back(allocation.stack);
    }
    input.key = [keys](BlockIndexNumber b) { return keys[b]; };
    input.roots.roots = {{.kind = RootKind::global, .range = {kGlobals, kGlobals + 16}, .name = "app"}};
    input.roots.regions = {{.range = {kGlobals, kGlobals + 0x1000},
                            .name = "/usr/bin/app",
                            .root = RootKind::global,
                            .why = "module data"}};
    input.roots.coverage.threads_without_registers = threads_without_registers;
    input.roots.coverage.dropped_records = dropped;
    auto made = scan(std::move(input), options.scan);
    if (!made) return tl::unexpected(made.error());
    return ProcessScan{.scan = std::move(*made), .allocations = std::move(positions),
                       .stop_id = target.stop_};
  }

  testing::LedgerImage image;
  int scans = 0;
  std::uint32_t threads_without_registers = 0;
  std::uint64_t dropped = 0;
};

constexpr const char* kSummary =
    "LEAK SUMMARY:\n"
    "   definitely lost: 16 bytes in 1 blocks\n"
    "   indirectly lost: 48 bytes in 1 blocks\n"
    "     possibly lost: 64 bytes in 1 blocks\n"
    "   still reachable: 1,024 bytes in 1 blocks\n"
    "        suppressed: 0 bytes in 0 blocks\n";

TEST_F(ScanCommands, LeaksInValgrindsLayout) {
  EXPECT_EQ(out(""),
            "HEAP SUMMARY:\n"
            "    in use at stop: 1,152 bytes in 4 blocks\n"
            "  total heap usage: 12,345 allocs, 3 frees, 76,976 bytes allocated\n"
            "\n"
            "64 (16 direct, 48 indirect) bytes in 1 blocks are definitely lost in loss record 2 of "
            "4\n"
            "   at 0x401100: mk(int) (t.cpp:6)\n"
            "   by 0x401200: main (t.cpp:9)\n"
            "\n"
            "64 bytes in 1 blocks are possibly lost in loss record 3 of 4\n"
            "   <stack not recorded>\n"
            "\n" +
                std::string(kSummary) +
                "Reachable blocks (those to which a pointer was found) are not shown.\n"
                "To see them: leaks --show-kinds all\n");
}

TEST_F(ScanCommands, AllKindsWithAddressesLargestLast) {
  const std::string text = out("--show-kinds all --addresses");
  EXPECT_EQ(text.substr(text.find("1,024 bytes in 1 blocks are")),
            "1,024 bytes in 1 blocks are still reachable in loss record 4 of 4\n"
            "   at 0x401300: keep (in /usr/bin/app)\n"
            "     0x7f0000001000[1024]\n"
            "\n" + std::string(kSummary));
}

TEST_F(ScanCommands, LimitKeepsTheLargestAndSaysSo) {
  const std::string text = out("--show-kinds all --limit 1");
  EXPECT_EQ(text.find("definitely lost in"), std::string::npos);
  EXPECT_NE(text.find("still reachable in loss record 4 of 4"), std::string::npos);
  EXPECT_NE(text.find("3 smaller loss records are not shown (--limit 1).\n"), std::string::npos);
}

TEST_F(ScanCommands, KindsNoneGivesTheSummary) {
  const std::string text = out("--show-kinds none");
  EXPECT_EQ(text.find("loss record"), std::string::npos);
  EXPECT_NE(text.find(kSummary), std::string::npos);
}

TEST_F(ScanCommands, WhatCouldNotBeSeenIsSaid) {
  EXPECT_EQ(out("").find("note:"), std::string::npos);
  threads_without_registers = 2;
  context.forget_ledger();
  EXPECT_NE(out("").find("note:"), std::string::npos);
}

TEST_F(ScanCommands, JsonHasTheFixedKeys) {
  const Json report = Json::parse(out("--format json --addresses"));
  EXPECT_EQ(report["summary"]["definitely_lost"], (Json{{"bytes", 16}, {"blocks", 1}}));
  EXPECT_EQ(report["summary"]["indirectly_lost"], (Json{{"bytes", 48}, {"blocks", 1}}));
  EXPECT_EQ(report["summary"]["possibly_lost"], (Json{{"bytes", 64}, {"blocks", 1}}));
  EXPECT_EQ(report["summary"]["still_reachable"], (Json{{"bytes", 1024}, {"blocks", 1}}));
  EXPECT_EQ(report["summary"]["suppressed"], (Json{{"bytes", 0}, {"blocks", 0}}));
  ASSERT_EQ(report["records"].size(), 2u);
  const Json& lost = report["records"][0];
  EXPECT_EQ(lost["kind"], "definitely lost");
  EXPECT_EQ(lost["bytes"], 16);
  EXPECT_EQ(lost["blocks"], 1);
  EXPECT_EQ(lost["indirect_bytes"], 48);
  EXPECT_EQ(lost["indirect_blocks"], 1);
  EXPECT_EQ(lost["stack"][0]["function"], "mk(int)");
  EXPECT_EQ(lost["stack"][0]["line"], 6);
  EXPECT_EQ(lost["addresses"], Json::array({Json{{"address", kLost}, {"size", 16}}}));
  EXPECT_TRUE(report["coverage"].is_object());
  EXPECT_FALSE(Json::parse(out("--format json"))["records"][0].contains("addresses"));
}

TEST_F(ScanCommands, OneScanPerStopAndLeaderRule) {
  out("");
  out("roots");
  out("block 0x7f0000002000");
  EXPECT_EQ(scans, 1);
  out("--leader valgrind");
  EXPECT_EQ(scans, 2);
  target.stop_ = 2;
  out("--leader valgrind");
  EXPECT_EQ(scans, 3);
}

TEST_F(ScanCommands, BlockHasItsClass) {
  EXPECT_NE(out("block 0x7f0000002000").find("class:    definitely lost\n"), std::string::npos);
  EXPECT_EQ(Json::parse(out("block 0x7f0000003000 --format json"))["block"]["class"],
            "indirectly lost");
}

TEST_F(ScanCommands, RootsSayWhy) {
  const std::string text = out("roots");
  EXPECT_NE(text.find("0x000000404000-0x000000405000 global               /usr/bin/app (module "
                      "data)\n"), std::string::npos) << text;
  EXPECT_EQ(Json::parse(out("roots --format json"))["regions"][0]["root"], "global");
}

TEST_F(ScanCommands, BadOptions) {
  EXPECT_EQ(error("--show-kinds lost"),
            "--show-kinds must be a list of definite,indirect,possible,reachable,all,none, not "
            "'lost'");
  EXPECT_EQ(error("--limit 0"), "--limit must be a number from 1 up, not '0'");
  EXPECT_EQ(error("--leader lsan"), "--leader must be exact, valgrind, not 'lsan'");
  EXPECT_EQ(error("at-exit --error-exitcode 256"),
            "--error-exitcode must be a number up to 255, not '256'");
  EXPECT_EQ(error("at-exit --errors-for-leak-kinds x"),
            "--errors-for-leak-kinds must be a list of "
            "definite,indirect,possible,reachable,all,none, not 'x'");
  EXPECT_EQ(context.at_exit, nullptr);
  EXPECT_EQ(error("who-owns"),
            "ADDR|EXPRESSION is missing: expected an address such as 0x7f8f70863220, or an "
            "expression");
  EXPECT_EQ(error("who-owns a"), "cannot evaluate 'a': use of undeclared identifier 'a'");
  EXPECT_EQ(error("who-owns nonsense"),
            "cannot evaluate 'nonsense': use of undeclared identifier 'nonsense'");
}

class AtExitTest : public ScanCommands {
 protected:
  // What the debugger ends with.
  int ends_with(const std::string& command, int status) {
    EXPECT_EQ(out(command), "The process will be scanned for leaks when it ends.\n");
    EXPECT_EQ(context.exit_code, 2);  // fails closed
    std::optional<int> code;
    text = report_at_exit(context, status, code);
    return code.value_or(-1);
  }
  void lose_nothing() {
    word(kGlobals, kKept);
    word(kGlobals + 8, kInner);
    word(kKept, kLost);
    context.forget_ledger();
  }
  std::string text;
};

TEST_F(AtExitTest, LeaksGiveTheirCode) {
  EXPECT_EQ(ends_with("at-exit", 0), 1);
  EXPECT_NE(text.find("in use at exit: 1,152 bytes"), std::string::npos);
  EXPECT_EQ(ends_with("at-exit --error-exitcode 42", 7), 42);
  EXPECT_EQ(ends_with("at-exit --error-exitcode 0", 7), 7);
}

TEST_F(AtExitTest, OnlyTheKindsAskedForCount) {
  EXPECT_EQ(ends_with("at-exit --errors-for-leak-kinds none", 5), 5);
  EXPECT_EQ(ends_with("at-exit --errors-for-leak-kinds reachable", 5), 1);
}

TEST_F(AtExitTest, NothingLostGivesTheProgramsStatus) {
  lose_nothing();
  EXPECT_EQ(ends_with("at-exit", 7), 7);
  EXPECT_EQ(ends_with("at-exit", 0), 0);
}

TEST_F(AtExitTest, TooLittleSeenIsNoPass) {
  lose_nothing();
  dropped = 1;
  EXPECT_EQ(ends_with("at-exit", 0), 2);
}

TEST_F(AtExitTest, AnUntrackedProcessIsNotJudged) {
  context.read_ledger = nullptr;
  EXPECT_EQ(ends_with("at-exit", 0), 2);
  EXPECT_EQ(text, "heapledger: not judged: process 4711 is not tracked (cannot find the heap: "
                  "no module is glibc): `leaks start` tracks it from now on\n");
}

TEST_F(AtExitTest, VerdictRepeatsTheJudgement) {
  EXPECT_EQ(error("verdict"), "nothing to judge: `leaks at-exit` was not given");
  EXPECT_EQ(context.exit_code, 2);
  out("at-exit");
  EXPECT_EQ(out("verdict"), "verdict: never judged: the process did not come to its end\n");
  EXPECT_EQ(context.exit_code, 2);
  ends_with("at-exit --error-exitcode 42", 0);
  context.exit_code.reset();
  EXPECT_EQ(out("verdict"),
            "verdict: 16 bytes in 1 blocks are definitely lost, 64 bytes in 1 blocks are possibly "
            "lost\n");
  EXPECT_EQ(context.exit_code, 42);
}

TEST_F(AtExitTest, TheReportIsKeptAfterTheEnd) {
  ends_with("at-exit", 0);
  const std::string report = text;
  target.state_ = ProcessState::exited;
  context.forget_process();
  EXPECT_EQ(out(""), report);
}

TEST_F(AtExitTest, TheReportMayGoToAFile) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("at_exit_test." + std::to_string(::getpid()) + ".json");
  EXPECT_EQ(ends_with("at-exit --format json --output " + path.string(), 0), 1);
  std::ifstream file(path);
  EXPECT_EQ(Json::parse(file)["summary"]["definitely_lost"]["bytes"], 16);
  EXPECT_EQ(text.substr(0, 6), "Wrote ");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace heapledger
