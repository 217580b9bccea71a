// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "report/outstanding.h"
#include "tests/report/fake_target.h"
#include "tracking/ledger_builder.h"

namespace heapledger {
namespace {

using testing::FakeTarget;

class OutstandingReportTest : public ::testing::Test {
 protected:
  OutstandingReportTest() {
    target.function(0x40118f, "fibonacci", 0x1f, "app", "/home/me/fib.c", 12);
    target.function(0x401252, "child", 0x12, "app", "/home/me/fib.c", 33);
    target.function(0x7f00002f4, "start_thread", 0x2f4, "libc.so.6");
    LedgerBuilder builder;
    builder.heap_block({.block = {0x1000, 24}, .kind = agent::Kind::operator_new});
    builder.heap_block({.block = {0x7f8f70861220, 8192}});
    builder.heap_block({.block = {0x7f8f70863220, 8192}});
    ledger = builder.build();
    group = {.stack = {{0x40118f, 0}, {0x401252, 0}, {0x7f00002f4, 0}},
             .bytes = 16384,
             .count = 2,
             .allocations = {1, 2}};
    other = {.bytes = 24, .count = 1, .allocations = {0}};
  }

  std::string text(const OutstandingReport& report) { return write(report, write_outstanding_text); }
  std::string json(const OutstandingReport& report) { return write(report, write_outstanding_json); }
  template <typename Writer>
  std::string write(const OutstandingReport& report, Writer writer) {
    FrameResolver frames(target, {});
    std::string result;
    writer(report, frames, target, [&](std::string_view piece) { result += piece; });
    return result;
  }

  FakeTarget target;
  Ledger ledger;
  OutstandingGroup group, other;
};

TEST_F(OutstandingReportTest, PrintsAsMemleakDoes) {
  EXPECT_EQ(text({.ledger = ledger, .groups = {group, other}, .time = "12:34:56"}),
            "[12:34:56] Top 2 stacks with outstanding allocations:\n"
            "\t16384 bytes in 2 allocations from stack\n"
            "\t\tfibonacci+0x1f [app] fib.c:12\n"
            "\t\tchild+0x12 [app] fib.c:33\n"
            "\t\tstart_thread+0x2f4 [libc.so.6]\n"
            "\t24 bytes in 1 allocations from stack\n"
            "\t\t<stack not recorded>\n");
}

TEST_F(OutstandingReportTest, HeaderTellsHowManyAreShown) {
  EXPECT_EQ(text({.ledger = ledger, .groups = {other, group}, .limit = 1, .time = "00:00:01"}),
            "[00:00:01] Top 1 stacks with outstanding allocations:\n"
            "\t24 bytes in 1 allocations from stack\n"
            "\t\t<stack not recorded>\n");
}

TEST_F(OutstandingReportTest, AddressesStandBeforeTheirStack) {
  const std::string printed =
      text({.ledger = ledger, .groups = {group}, .addresses = true, .time = "12:34:56"});
  EXPECT_EQ(printed.substr(0, printed.find("\t\t")),
            "[12:34:56] Top 1 stacks with outstanding allocations:\n"
            "\taddr = 7f8f70861220 size = 8192\n"
            "\taddr = 7f8f70863220 size = 8192\n"
            "\t16384 bytes in 2 allocations from stack\n");
}

TEST_F(OutstandingReportTest, IncompleteStackIsSaid) {
  group.incomplete = true;
  const std::string printed = text({.ledger = ledger, .groups = {group}, .time = "12:34:56"});
  EXPECT_EQ(printed.substr(printed.find("\t\tstart_thread")),
            "\t\tstart_thread+0x2f4 [libc.so.6]\n\t\t<stack is incomplete>\n");
}

TEST_F(OutstandingReportTest, NothingOutstanding) {
  EXPECT_EQ(text({.ledger = ledger, .time = "12:34:56"}), "No outstanding allocations.\n");
}

TEST_F(OutstandingReportTest, CoverageFollowsTheTable) {
  const LedgerCoverage coverage{
      .dropped = 3, .in_flight = 1, .not_hooked = {{"libx.so", "malloc", "too short"}}};
  EXPECT_EQ(text({.ledger = ledger, .time = "12:34:56", .coverage = coverage}),
            "No outstanding allocations.\n"
            "note: 3 allocations were not recorded, the ledger's memory was full: "
            "the real numbers are larger\n"
            "note: 1 allocator calls were in progress at this stop: their blocks may be missing\n"
            "note: malloc in libx.so is not hooked (too short): what it allocates or frees is not "
            "seen\n");
}

TEST_F(OutstandingReportTest, WhyTheLedgerWasFullIsSaid) {
  const LedgerCoverage coverage{.dropped = 3, .dropped_stacks = 1, .shortage = "no more", .untracked = 3};
  EXPECT_EQ(coverage_text(coverage),
            "note: 3 allocations were not recorded, the ledger's memory was full (no more): they have no "
            "stack\n"
            "note: 1 allocations were recorded without their stack, the ledger's memory was full (no "
            "more)\n");
}

TEST_F(OutstandingReportTest, WhatCameAfterTrackingIsNotCalledFromBefore) {
  LedgerCoverage coverage{.started_late = true, .stopped = true, .untracked = 3};
  EXPECT_EQ(untracked_name(coverage), "<not recorded>");
  EXPECT_EQ(coverage_text(coverage),
            "note: tracking is stopped: a block allocated since may have the stack of an earlier one of its "
            "size at the same address; 3 blocks from before or since have no stack; their sizes are usable "
            "bytes, a little more than asked for\n");
  coverage.heap_not_walked = "no module is glibc";
  EXPECT_EQ(coverage_text(coverage),
            "note: tracking is stopped: what was allocated or released since is not known (no module is "
            "glibc)\n");
  coverage.stopped = false;
  EXPECT_EQ(untracked_name(coverage), "<allocated before tracking>");
}

TEST_F(OutstandingReportTest, WhyBlocksWereDroppedIsSaid) {
  const LedgerCoverage coverage{.dropped = 3, .returns_missed = true};
  EXPECT_EQ(coverage_text(coverage),
            "note: 3 allocations were not recorded, the calls' returns were not seen: "
            "the real numbers are larger\n");
}

TEST_F(OutstandingReportTest, InterruptLeavesWhatWasPrinted) {
  std::vector<OutstandingGroup> many(100, other);
  target.interrupt = true;
  const std::string printed =
      text({.ledger = ledger, .groups = many, .limit = 100, .time = "12:34:56"});
  EXPECT_EQ(printed.substr(printed.rfind("note:")), "note: interrupted: 64 of 100 stacks shown\n");
}

TEST_F(OutstandingReportTest, JsonHasTheFixedKeys) {
  const Json report = Json::parse(json({.ledger = ledger, .groups = {group, other}, .limit = 1}));
  EXPECT_EQ(report["kind"], "outstanding");
  EXPECT_EQ(report["shown"], 1);
  const Json total{{"bytes", 16408}, {"count", 3}, {"groups", 2}};
  EXPECT_EQ(report["total"], total);
  ASSERT_EQ(report["groups"].size(), 1u);
  const Json& shown = report["groups"][0];
  EXPECT_EQ(shown["bytes"], 16384);
  EXPECT_EQ(shown["count"], 2);
  EXPECT_TRUE(shown["oldest_ms"].is_null());
  EXPECT_EQ(shown["stack"][0]["function"], "fibonacci");
  EXPECT_EQ(shown["stack"][0]["file"], "/home/me/fib.c");
  EXPECT_EQ(shown["stack"][0]["line"], 12);
  EXPECT_EQ(shown["stack"][0]["offset"], 0x1f);
  EXPECT_EQ(shown["stack"][0]["address"], 0x40118f);
  EXPECT_FALSE(shown.contains("allocations"));
  EXPECT_EQ(report["coverage"]["dropped"], 0);
}

TEST_F(OutstandingReportTest, JsonListsAllocationsWhenAsked) {
  const Json report =
      Json::parse(json({.ledger = ledger, .groups = {other}, .addresses = true}));
  const std::string expected =
      R"([{"address":4096,"size":24,"age_ms":null,"thread":0,"kind":"operator new","in_flight":false}])";
  EXPECT_EQ(json_text(report["groups"][0]["allocations"]), expected);
}

}  // namespace
}  // namespace heapledger
