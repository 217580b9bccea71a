// SPDX-License-Identifier: Apache-2.0
//
// The engine's view of a program in LLDB: an SBTarget and whatever process it has at the moment.
#pragma once

#include <lldb/API/LLDB.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inferior/core_file.h"
#include "inferior/target.h"
#include "plugin/call_stacks.h"
#include "plugin/console.h"
#include "plugin/module_history.h"
#include "tracking/tracker.h"

namespace heapledger {

class LldbTarget final : public Target {
 public:
  explicit LldbTarget(lldb::SBTarget target);
  ~LldbTarget() override;

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

  void out(std::string_view text) override { console_.write(text); }
  bool interrupted() override { return console_.interrupted(); }
  void progress(std::uint64_t done, std::uint64_t total, std::string_view what) override {
    console_.progress(done, total, what);
  }

  lldb::SBTarget& sb() { return target_; }
  lldb::SBProcess process() { return target_.GetProcess(); }
  Console& console() { return console_; }
  ModuleHistory& history() { return history_; }
  // The process image is gone or was replaced.
  void forget_process();

  // The thread that calls and expressions run on: in a callback the one that hit the breakpoint.
  lldb::SBThread current_thread();
  void enter_callback(lldb::SBThread thread) { callback_thread_ = thread; }
  void leave_callback() { callback_thread_ = lldb::SBThread(); }

  // Where a code address of an unloaded module came from.
  std::function<std::optional<Tracker::CodeOrigin>(CodeAddress)> origin;
  // A module of ours is called by this name; empty: not ours.
  std::function<std::string(lldb::SBModule)> own_module_name;

 private:
  void find_thread_pointers(std::vector<ThreadState>& threads);
  bool answers_for_local_process();
  std::unique_ptr<Memory> local_memory();
  lldb::SBAddress code_place(CodeAddress address);

  lldb::SBTarget target_;
  Console console_;
  ModuleHistory history_;
  CallStacks call_stacks_;
  lldb::SBThread callback_thread_;

  // What was found out about the process of that identity.
  struct Known {
    std::uint32_t process = 0;  // SBProcess::GetUniqueID
    std::uint64_t pid = 0;
    ProcessKind kind = ProcessKind::none;
    bool operator==(const Known&) const = default;
  };
  Known known_;
  std::unique_ptr<Memory> memory_;
  std::optional<CoreFile> core_;  // when memory_ is an ELF core's
  Known memory_of_;
  std::uint64_t memory_stop_ = 0;
};

}  // namespace heapledger
