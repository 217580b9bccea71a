// SPDX-License-Identifier: Apache-2.0
//
// The engine's view of a program in gdb: what gdb's Python module says of the current inferior, by way
// of a Python object (heapledger/gdb_debugger.py), and what the project reads by itself.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "inferior/core_file.h"
#include "inferior/debug_file.h"
#include "inferior/modules.h"
#include "inferior/target.h"
#include "tracking/tracker.h"

namespace heapledger {

namespace py = pybind11;

// Calls into Python; what it raises is an Error with the exception's words.
template <typename Call>
Result<py::object> ask(Call&& call) {
  try {
    return py::object(call());
  } catch (py::error_already_set& error) {
    if (error.matches(PyExc_KeyboardInterrupt)) return fail("interrupted");
    return fail("{}", py::str(error.value()).cast<std::string>());
  }
}

class GdbTarget final : public Target {
 public:
  explicit GdbTarget(py::object debugger);
  ~GdbTarget() override;

  ProcessKind kind() override;
  ProcessState state() override;
  std::uint64_t pid() override;
  std::uint64_t stop_id() override;
  std::string program_path() override;
  bool is_x86_64() override;
  std::string missing_evidence() override;
  std::string debugger() override;
  std::optional<int> exit_status() override;

  const Memory& memory() override;
  Result<Mappings> mappings() override;
  std::vector<ThreadState> thread_positions() override;
  std::vector<ThreadState> threads() override;
  std::vector<std::vector<SymbolFrame>> symbolize(std::span<const CodeAddress>) override;
  std::optional<DataName> name_data(Address) override;
  std::vector<FrameInfo> backtrace(std::uint64_t tid, bool with_variables) override;
  std::vector<CodeAddress> call_stack(std::uint64_t tid, std::size_t limit) override;
  std::vector<LoadedModule> loaded_modules() override;
  Result<Address> evaluate(const std::string& expression) override;

  void out(std::string_view text) override;
  bool interrupted() override;
  void progress(std::uint64_t done, std::uint64_t total, std::string_view what) override;

  py::object& python() { return debugger_; }
  // Modules of the process as it stands; read once a stop.
  const std::vector<Module>& modules();

  void forget_modules() { modules_stop_.reset(); }

  // What the session writes goes there instead of to the user; empty: to the user.
  std::function<void(std::string_view)> capture;
  void begin_command();
  void end_command();

  // A breakpoint's callback runs: the process counts as stopped, and nothing else is known of it.
  bool in_callback = false;
  // Where a code address of an unloaded module came from.
  std::function<std::optional<Tracker::CodeOrigin>(CodeAddress)> origin;

 private:
  struct Place {  // of an address in a module's file
    std::string module;
    std::shared_ptr<const ElfFile> elf;
    Address bias = 0;
  };
  std::vector<ThreadState> read_threads(bool registers);
  Place code_place(CodeAddress address);
  const DebugFile& debug_file(const std::shared_ptr<const ElfFile>& elf);
  std::unique_ptr<Memory> make_memory(ProcessKind what);
  const CoreFile* core_file();
  void clear_progress();

  py::object debugger_;
  std::unique_ptr<Memory> memory_;
  std::pair<ProcessKind, std::uint64_t> memory_of_{ProcessKind::none, 0};  // kind, pid
  std::optional<CoreFile> core_file_;
  std::string core_path_;
  std::vector<Module> modules_;
  std::optional<std::uint64_t> modules_stop_;
  std::map<const ElfFile*, std::pair<std::shared_ptr<const ElfFile>, std::unique_ptr<DebugFile>>>
      debug_files_;
  std::string debug_directories_;

  using Clock = std::chrono::steady_clock;
  Clock::time_point begun_{}, last_progress_{};
  bool progress_shown_ = false;
  bool interrupted_ = false;
};

}  // namespace heapledger
