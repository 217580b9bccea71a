// SPDX-License-Identifier: Apache-2.0
//
// A program in gdb (an inferior) with its session, and what has to happen to the session when
// something happens to the program.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "commands/process_life.h"
#include "commands/session.h"
#include "python/gdb_control.h"
#include "python/gdb_target.h"
#include "tracking/event_places.h"

namespace heapledger {

class GdbDebuggee {
 public:
  // `debugger`: heapledger/gdb_debugger.py's object for one inferior.
  explicit GdbDebuggee(py::object debugger);

  // What the user typed after `leaks`. What went wrong is thrown as a std::runtime_error with one line.
  void command(const std::string& line);
  // The same with the output returned.
  std::string query(const std::vector<std::string>& words);

  // gdb said that something happened: a new file, a stop, an end.
  void follow();
  // Breakpoints that must be there now: ("loader" | "exit", function, address).
  using Place = std::tuple<std::string, std::string, Address>;
  std::vector<Place> places();
  // The same at gdb's event of a new file: the process stands still, whatever gdb says of its threads.
  std::vector<Place> new_file();
  // The breakpoint of such a place was hit, other threads may be running.
  void loader_event(const std::string& function);
  // A watched address (TargetControl::watch) was reached.
  void watched(Address address);
  // The process stands at its end, everything is stopped.
  void exit_call();
  // A stop of all threads.
  void stopped();
  // A breakpoint of the user's came or changed.
  void breakpoint_set();
  // The debugger is about to let the process go, which lives on.
  void let_go();

 private:
  void run(const std::vector<std::string>& words);
  Address r_debug_by_symbol();
  std::uint64_t identity();

  GdbTarget target_;
  GdbControl control_;
  Session session_;
  ProcessLife life_;
  std::uint64_t known_ = 0;          // identity of the last process
  std::vector<EventPlace> loader_, exit_;
};

}  // namespace heapledger
