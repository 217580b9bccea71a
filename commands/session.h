// SPDX-License-Identifier: Apache-2.0
//
// A debugger session about one process: what is tracked, what the user typed, what was answered.
//
// Front ends own one Session per debugged program (LLDB: per SBTarget), forward the user's words and
// the debugger's events to it, and print what comes back. Everything a user can see is made here and
// in report/, so that it is the same in every debugger.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "inferior/target.h"
#include "tracking/tracker.h"

namespace heapledger {

struct CommandResult {
  bool ok = true;
  std::string error;             // one line without "error: "; set when !ok
  std::optional<int> exit_code;  // the front end makes it the debugger's own (batch only)
};

class Session {
 public:
  Session(Target& target, TargetControl& control);
  ~Session();

  // Events. Each returns text for the user (whole lines), usually empty.
  //
  // The loader says that libraries were added or removed and are relocated, or a static program is
  // about to start: all threads stopped. Starts tracking when it is armed (leaks auto) and the
  // process was launched (one that was attached to waits for `leaks start`), and follows modules.
  // `from_start`: no allocation can have been made before (false: LLDB 14 and 16 tell of the libraries
  // of a launch only when their constructors have run).
  std::string on_loader_event(bool from_start = true);
  std::string on_exec();           // the process image was replaced; tracking starts anew
  // The debugger has a new process, which it launched or attached to. Before the first loader event.
  // Forgets the old one's tracking, keeps its reports.
  std::string on_process(bool launched);
  std::string on_process_gone();   // exited, killed, detached
  void on_stop();                  // of all threads
  std::string on_resume(Traps traps);  // the user lets the process go on
  // The debugger lets it go on without itself: hooks out.
  std::string on_let_go();
  // The program calls _exit(status) (leaks at-exit). Returns the text; sets exit_code when judged.
  std::string on_exit_call(int status, std::optional<int>& exit_code);

  bool armed() const;              // leaks auto on
  bool wants_exit_call() const;    // leaks at-exit was given
  // Where the process has to be stopped for on_exit_call(), 0: at _exit (event_places.h). May be another
  // one after any event or command.
  Address exit_stop() const;

  // What the user typed after `leaks`. Output goes to Target::out as it is made.
  CommandResult run(std::span<const std::string> arguments);

  Tracker& tracker();

  // Commands and options, for help and completion in the front ends.
  static std::string help(const std::string& command = "");   // empty: all commands
  static std::vector<std::string> command_names();
  static std::vector<std::string> complete(std::span<const std::string> arguments);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace heapledger
