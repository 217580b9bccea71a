// SPDX-License-Identifier: Apache-2.0
//
// Where words for the user go. In a command: into its result, which streams on a terminal and in
// batch and is what a script's HandleCommand gets. In a breakpoint callback there is no result: to
// the debugger's output file.
#pragma once

#include <lldb/API/LLDB.h>

#include <chrono>
#include <cstdint>
#include <string_view>

namespace heapledger {

class Console {
 public:
  explicit Console(lldb::SBDebugger debugger) : debugger_(debugger) {}

  void begin_command(lldb::SBCommandReturnObject* result);
  void end_command();

  void write(std::string_view text);
  bool interrupted();
  // A line that is rewritten, on a terminal only, and only for work that has taken a while.
  void progress(std::uint64_t done, std::uint64_t total, std::string_view what);

 private:
  using Clock = std::chrono::steady_clock;

  void write_to_file(std::string_view text);
  bool on_terminal();
  void clear_progress();

  lldb::SBDebugger debugger_;
  lldb::SBCommandReturnObject* result_ = nullptr;
  Clock::time_point begun_{};
  Clock::time_point last_progress_{};
  bool progress_shown_ = false;
};

}  // namespace heapledger
