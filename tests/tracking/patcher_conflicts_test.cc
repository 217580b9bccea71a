// SPDX-License-Identifier: Apache-2.0
//
// Hooks where somebody else has been or comes later: breakpoints, other patches, writes that fail.
#include "tracking/patcher.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>

#include "tests/tracking/patcher_fixture.h"

namespace heapledger {
namespace {

// ---- breakpoints and other patches -------------------------------------------------------------

TEST_F(PatcherTest, KeepsABreakpointAtTheFirstByte) {
  const auto wanted = request("malloc");
  start(wait_for_ever);
  process_->stop();
  process_->set_breakpoint(wanted.function);
  const auto outcome = patcher_->install({wanted});
  ASSERT_EQ(outcome.installed.size(), 1u);
  EXPECT_EQ(read(wanted.function, 1), Bytes{0xcc});
  EXPECT_EQ(wanted.function + 5 + value<std::int32_t>(wanted.function + 1),
            outcome.installed[0]->stub);
  EXPECT_TRUE(patcher_->check(*outcome.installed[0]));
  EXPECT_TRUE(patcher_->under_breakpoints(Traps::listed).empty());
  EXPECT_TRUE(patcher_->remove_all());
  Bytes expected(wanted.original.begin(), wanted.original.begin() + 16);
  expected[0] = 0xcc;
  EXPECT_EQ(read(wanted.function, 16), expected);
}

TEST_F(PatcherTest, RefusesABreakpointInsideTheReplacedBytes) {
  const auto wanted = request("malloc");
  start(wait_for_ever);
  process_->stop();
  process_->set_breakpoint(wanted.function + 2);
  EXPECT_EQ(refusal(patcher_->install({wanted})),
            "a breakpoint stands at +2, inside the bytes the jump would replace");
  EXPECT_EQ(process_->writes, 0);
}

TEST_F(PatcherTest, IgnoresABreakpointBehindTheReplacedBytes) {
  const auto wanted = request("malloc");  // 2 + 1 + 1 + 3 bytes are replaced
  start(wait_for_ever);
  process_->stop();
  process_->set_breakpoint(wanted.function + 7);
  EXPECT_EQ(patcher_->install({wanted}).installed.size(), 1u);
}

TEST_F(PatcherTest, FindsABreakpointSetInsideLater) {
  const auto wanted = requests({"malloc", "free"});
  start(wait_for_ever);
  process_->stop();
  const auto outcome = patcher_->install(wanted);
  ASSERT_EQ(outcome.installed.size(), 2u);
  EXPECT_TRUE(patcher_->under_breakpoints(Traps::listed).empty());
  process_->set_breakpoint(wanted[0].function + 2);
  ASSERT_EQ(patcher_->under_breakpoints(Traps::listed), std::vector{outcome.installed[0]});
  EXPECT_TRUE(patcher_->remove(*outcome.installed[0]));
  Bytes expected(wanted[0].original.begin(), wanted[0].original.begin() + 16);
  expected[2] = 0xcc;
  EXPECT_EQ(read(wanted[0].function, 16), expected);
  ASSERT_EQ(patcher_->installed().size(), 1u);
  EXPECT_EQ(patcher_->installed()[0]->request.symbol, "free");
}

TEST_F(PatcherTest, RefusesWhatSomethingElsePatched) {
  const auto wanted = synthetic({0x8d, 0x47, 0x01, 0x01, 0xf8, 0xc3});
  start(wait_for_ever);
  process_->stop();
  const Bytes patch = {0xe9, 0x11, 0x22, 0x33, 0x44};
  process_->poke(wanted.function, std::as_bytes(std::span(patch)));
  EXPECT_EQ(refusal(patcher_->install({wanted})),
            fmt::format(
                "already patched by something else: {:#x} holds e9 11 22 33 44, not 8d 47 01 01 f8",
                wanted.function));
  EXPECT_EQ(process_->writes, 0);
}

TEST_F(PatcherTest, RefusesATrapThatIsNoBreakpointOfThisDebugger) {
  const auto wanted = synthetic({0x8d, 0x47, 0x01, 0x01, 0xf8, 0xc3});
  start(wait_for_ever);
  process_->stop();
  process_->poke(wanted.function, std::vector{std::byte{0xcc}});
  EXPECT_NE(refusal(patcher_->install({wanted})).find("already patched"), std::string::npos);
}

TEST_F(PatcherTest, LeavesAPatchOverItsOwnAlone) {
  const auto wanted = requests({"malloc", "free"});
  start(wait_for_ever);
  process_->stop();
  ASSERT_EQ(patcher_->install(wanted).installed.size(), 2u);
  const Bytes patch = {0xe9, 0x11, 0x22, 0x33, 0x44};
  process_->poke(wanted[0].function, std::as_bytes(std::span(patch)));
  EXPECT_FALSE(patcher_->check(*patcher_->installed()[0]));
  const auto removed = patcher_->remove_all();
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().message.substr(0, 22), "cannot restore malloc:");
  EXPECT_EQ(read(wanted[0].function, 5), patch);
  ASSERT_EQ(patcher_->installed().size(), 1u);  // malloc; free is restored
  EXPECT_EQ(read(wanted[1].function, 5),
            Bytes(wanted[1].original.begin(), wanted[1].original.begin() + 5));
}

// ---- failures ----------------------------------------------------------------------------------

TEST_F(PatcherTest, ChangesNothingWhenAWriteFails) {
  for (const int failing : {1, 2}) {  // the item; the jump
    const auto wanted = request("malloc");
    start(wait_for_ever);
    process_->stop();
    process_->fail_write(failing);
    EXPECT_EQ(refusal(patcher_->install({wanted})), "write refused");
    EXPECT_TRUE(text_is_the_files());
    EXPECT_TRUE(patcher_->installed().empty());
    EXPECT_EQ(patcher_->install({wanted}).installed.size(), 1u);
  }
}

TEST_F(PatcherTest, ChangesNothingWhenAThreadCannotBeMoved) {
  const auto wanted = request("malloc");
  start(run_workers<1>);
  ASSERT_TRUE(all_work_on(1));
  process_->stop();
  const auto tid = pid_t(process_->thread_positions().back().tid);
  ASSERT_TRUE(process_->step_to(tid, wanted.function + 2));
  process_->fail_set_pc();
  EXPECT_EQ(refusal(patcher_->install({wanted})), "no register can be written");
  EXPECT_TRUE(text_is_the_files());
  process_->run();
  EXPECT_TRUE(all_work_on(1));
}

TEST_F(PatcherTest, ReportsWhatCannotBeRestored) {
  const auto wanted = request("malloc");
  start(wait_for_ever);
  process_->stop();
  ASSERT_EQ(patcher_->install({wanted}).installed.size(), 1u);
  process_->fail_write(1);
  const auto removed = patcher_->remove_all();
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().message, "cannot restore malloc: write refused");
  EXPECT_EQ(patcher_->installed().size(), 1u);
  EXPECT_TRUE(patcher_->remove_all());
  EXPECT_TRUE(text_is_the_files());
}

}  // namespace
}  // namespace heapledger
