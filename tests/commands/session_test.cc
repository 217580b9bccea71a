// SPDX-License-Identifier: Apache-2.0
#include "commands/session.h"

#include <gtest/gtest.h>

#include "tests/report/fake_target.h"

namespace heapledger {
namespace {

using testing::FakeTarget;
using Words = std::vector<std::string>;

class SessionTest : public ::testing::Test {
 protected:
  std::string error(const Words& words) {
    const CommandResult result = session.run(words);
    return result.ok ? "no error" : result.error;
  }
  FakeTarget target;
  Session session{target, target};
};

TEST_F(SessionTest, IsArmedFromTheStart) {
  EXPECT_TRUE(session.armed());
  EXPECT_TRUE(session.run(Words{"auto", "off"}).ok);
  EXPECT_FALSE(session.armed());
  EXPECT_TRUE(session.run(Words{"auto", "on"}).ok);
  EXPECT_TRUE(session.armed());
}

TEST_F(SessionTest, AutoTellsWhichItIs) {
  EXPECT_TRUE(session.run(Words{"auto"}).ok);
  EXPECT_EQ(target.printed, "auto is on: every launch is tracked from its start\n");
  EXPECT_EQ(error({"auto", "maybe"}), "on|off must be on, off, not 'maybe'");
  EXPECT_TRUE(session.armed());
}

TEST_F(SessionTest, StartsNothingWhenNotArmed) {
  session.on_process(true);
  session.run(Words{"auto", "off"});
  EXPECT_EQ(session.on_loader_event(), "");
}

TEST_F(SessionTest, AnAttachedProcessWaitsForTheUser) {
  target.x86_64 = false;  // would be told
  session.on_process(false);
  EXPECT_EQ(session.on_loader_event(), "");
}

TEST_F(SessionTest, ANewImageIsSeenFromItsBeginningWhoeverLaunchedTheOldOne) {
  target.x86_64 = false;
  EXPECT_EQ(session.on_loader_event(), "");
  EXPECT_EQ(session.on_exec(), "");
  EXPECT_NE(session.on_loader_event(), "");
  session.on_process(true);
  session.on_exec();
  EXPECT_NE(session.on_loader_event(), "");
}

TEST_F(SessionTest, SaysOnceWhyAProcessIsNotTracked) {
  target.x86_64 = false;
  session.on_process(true);
  EXPECT_EQ(session.on_loader_event(),
            "heapledger: process 4711 is not a 64-bit x86-64 program: only those are supported\n");
  EXPECT_EQ(session.on_loader_event(), "");
  session.on_process(true);
  EXPECT_NE(session.on_loader_event(), "");
}

TEST_F(SessionTest, RemoteProcessesAreNotTracked) {
  target.kind_ = ProcessKind::live_remote;
  session.on_process(true);
  EXPECT_EQ(session.on_loader_event(),
            "heapledger: process 4711 is on another machine, where the agent cannot be brought "
            "in: `leaks start --engine breakpoint` tracks it, much slower\n");
}

TEST_F(SessionTest, NamesTheProcessThatExited) {
  session.run(Words{"status"});
  target.state_ = ProcessState::exited;
  target.exit_status_ = 3;
  session.on_process_gone();
  EXPECT_EQ(error({"top"}),
            "process 4711 has exited with status 3: stop it earlier, or have `leaks at-exit` scan "
            "it at its end");
}

TEST_F(SessionTest, CompletesCommandsOptionsAndChoices) {
  EXPECT_EQ(Session::complete(Words{"st"}), (Words{"start", "stop", "status"}));
  EXPECT_EQ(Session::complete(Words{"top", "--m"}), (Words{"--min-size", "--max-size"}));
  EXPECT_EQ(Session::complete(Words{"top", "--sort", ""}), (Words{"size", "count", "age"}));
  EXPECT_EQ(Session::complete(Words{"top", "--older", ""}), Words{});
  EXPECT_EQ(Session::complete(Words{"auto", "o"}), (Words{"on", "off"}));
  EXPECT_EQ(Session::complete(Words{"help", "to"}), Words{"top"});
  EXPECT_EQ(Session::complete(Words{"nonsense", "x"}), Words{});
}

TEST_F(SessionTest, EveryCommandHasHelpWithAnExample) {
  const std::string overview = Session::help();
  for (const std::string& name : Session::command_names()) {
    EXPECT_NE(overview.find("  leaks " + name + " "), std::string::npos) << name;
    const std::string page = Session::help(name);
    EXPECT_NE(page.find("Syntax: leaks " + name), std::string::npos) << name;
    EXPECT_NE(page.find("\nExample"), std::string::npos) << name;
    EXPECT_TRUE(session.run(Words{"help", name}).ok);
    EXPECT_TRUE(session.run(Words{name, "--help"}).ok);
  }
  EXPECT_NE(overview.find("Children after fork are not tracked"), std::string::npos);
}

TEST_F(SessionTest, HelpLinesFitAHundredColumns) {
  for (const std::string& name : Session::command_names()) {
    const std::string page = Session::help(name);
    for (std::size_t begin = 0; begin < page.size();) {
      const std::size_t end = page.find('\n', begin);
      EXPECT_LE(end - begin, 100u) << page.substr(begin, end - begin);
      begin = end + 1;
    }
  }
}

}  // namespace
}  // namespace heapledger
