// SPDX-License-Identifier: Apache-2.0
//
// What is wrong is told in one line, and nothing is changed.
#include "tests/commands/command_test_base.h"

namespace heapledger {
namespace {

class BadInput : public testing::CommandTest {};

constexpr const char* kNeedALedger[] = {"top", "block 0x1000"};

TEST_F(BadInput, UnknownAndAmbiguousCommands) {
  EXPECT_EQ(error("nonsense"), "unknown command 'nonsense': `leaks help` lists them");
  EXPECT_EQ(error("tpo"), "unknown command 'tpo', did you mean top: `leaks help` lists them");
  EXPECT_EQ(error("st"), "ambiguous command 'st': start, status, stop");
  EXPECT_EQ(error("help nonsense"), "unknown command 'nonsense': `leaks help` lists them");
}

TEST_F(BadInput, NoProcess) {
  target.state_ = ProcessState::none;
  target.kind_ = ProcessKind::none;
  for (const char* line : kNeedALedger) {
    EXPECT_EQ(error(line), "no process: run the program first");
  }
  EXPECT_EQ(error("stop"), "no process: run the program first");
}

TEST_F(BadInput, RunningProcess) {
  target.state_ = ProcessState::running;
  for (const char* line : kNeedALedger) {
    EXPECT_EQ(error(line), "process 4711 is running: interrupt it first");
  }
  for (const char* line : {"stop", "start", "status"}) {
    EXPECT_EQ(error(line), "process 4711 is running: interrupt it first");
  }
}

TEST_F(BadInput, NotTracked) {
  for (const char* line : kNeedALedger) {
    EXPECT_EQ(error(line), "process 4711 is not tracked (cannot find the heap: no module is glibc): "
                           "`leaks start` tracks it from now on");
  }
  EXPECT_EQ(error("stop"), "process 4711 is not tracked");
}

TEST_F(BadInput, CoreWithoutALedger) {
  target.kind_ = ProcessKind::core;
  for (const char* line : kNeedALedger) {
    EXPECT_EQ(error(line), "this core has no ledger: its process was not tracked (cannot find the "
                           "heap: no module is glibc)");
  }
  EXPECT_EQ(error("start"), "a core file cannot be tracked: there is no process");
  EXPECT_EQ(error("stop"), "a core file is not tracked: there is no process");
}

TEST_F(BadInput, ThirtyTwoBitProgram) {
  target.x86_64 = false;
  for (const char* line : {"top", "block 0x1000", "start", "stop"}) {
    EXPECT_EQ(error(line),
              "process 4711 is not a 64-bit x86-64 program: only those are supported");
  }
}

TEST_F(BadInput, Top) {
  EXPECT_EQ(error("top ten"), "N must be a number of stacks from 1 up, not 'ten'");
  EXPECT_EQ(error("top 0"), "N must be a number of stacks from 1 up, not '0'");
  EXPECT_EQ(error("top -3"), "N must be a number of stacks from 1 up, not '-3'");
  EXPECT_EQ(error("top 5 6"), "unexpected argument '6'");
  EXPECT_EQ(error("top --sort name"), "--sort must be size, count, age, not 'name'");
  EXPECT_EQ(error("top --older soon"), "--older must be a number, not 'soon'");
  EXPECT_EQ(error("top --min-size 4q"),
            "--min-size must be a number of bytes such as 4096, 4k or 2M, not '4q'");
  EXPECT_EQ(error("top --min-size 2k --max-size 1k"),
            "--min-size 2048 is larger than --max-size 1024");
  EXPECT_EQ(error("top --format xml"), "--format must be text, json, not 'xml'");
  EXPECT_EQ(error("top --output"), "--output needs a value: FILE");
}

TEST_F(BadInput, TopTellsOfItsOptionsBeforeItLooksAtTheProcess) {
  target.state_ = ProcessState::none;
  EXPECT_EQ(error("top ten"), "N must be a number of stacks from 1 up, not 'ten'");
}

TEST_F(BadInput, Block) {
  EXPECT_EQ(error("block"), "ADDR is missing: expected an address such as 0x7f8f70863220");
  EXPECT_EQ(error("block main"), "ADDR must be an address such as 0x7f8f70863220, not 'main'");
  EXPECT_EQ(error("block 0x1 0x2"), "unexpected argument '0x2'");
}

TEST_F(BadInput, Start) {
  EXPECT_EQ(error("start --hook malloc"),
            "--hook must be NAME=ADDR such as malloc=0x401a20, not 'malloc'");
  EXPECT_EQ(error("start --hook malloc=here"),
            "--hook: 'here' is not an address such as 0x401a20");
  EXPECT_EQ(error("start --hook strdup=0x1000").substr(0, 54),
            "--hook: 'strdup' is no function that allocates or free");
  EXPECT_EQ(error("start --max-ledger 12"), "--max-ledger must be at least 1M, not 12");
  EXPECT_EQ(error("start now"), "unexpected argument 'now'");
}

TEST_F(BadInput, FilesThatCannotBeWritten) {
  testing::LedgerImage image;
  track(image);
  EXPECT_EQ(error("top --output /nonexistent/report"),
            "cannot write /nonexistent/report: No such file or directory");
}

TEST_F(BadInput, StartWithoutAProcessKeepsTheOptions) {
  target.state_ = ProcessState::none;
  EXPECT_EQ(out("start --no-stacks --hook malloc=0x401a20 --max-ledger 2M"),
            "Tracking will start with the next launch, with these options.\n");
  EXPECT_FALSE(context.settings.tracking.stacks);
  EXPECT_EQ(context.settings.tracking.max_ledger_bytes, 2097152u);
  ASSERT_EQ(context.settings.tracking.extra_hooks.size(), 1u);
  EXPECT_EQ(context.settings.tracking.extra_hooks[0],
            (std::pair<std::string, Address>("malloc", 0x401a20)));
}

TEST_F(BadInput, StartThatFailsInItsOptionsKeepsTheOldOnes) {
  target.state_ = ProcessState::none;
  EXPECT_NE(error("start --no-stacks --max-ledger zero"), "");
  EXPECT_TRUE(context.settings.tracking.stacks);
}

}  // namespace
}  // namespace heapledger
