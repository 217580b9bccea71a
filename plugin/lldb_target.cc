// SPDX-License-Identifier: Apache-2.0
#include "plugin/lldb_target.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "inferior/elf_file.h"
#include "inferior/local_memory.h"
#include "inferior/process_image.h"
#include "inferior/thread_pointer.h"
#include "plugin/core_path.h"
#include "plugin/evaluation.h"
#include "plugin/registers.h"
#include "plugin/sb_text.h"
#include "plugin/session_memory.h"
#include "plugin/symbols.h"

namespace heapledger {
namespace {

class NoMemory final : public Memory {
 public:
  std::size_t read_up_to(Address, std::span<std::byte>) const override { return 0; }
};

bool is_stopped(lldb::StateType state) {
  return state == lldb::eStateStopped || state == lldb::eStateCrashed ||
         state == lldb::eStateSuspended;
}

// After an asynchronous resume LLDB reports "stopped" until it has got round to the event; its
// run lock, which every access to a thread or to memory needs, tells at once.
bool is_really_stopped(lldb::SBProcess process) {
  if (process.GetThreadAtIndex(0).GetFrameAtIndex(0).IsValid()) return true;
  std::byte byte{};
  lldb::SBError error;
  process.ReadMemory(0, &byte, 1, error);
  return text_of(error.GetCString()).find("running") == std::string::npos;
}

// The debugger and this machine's kernel say the same of `size` bytes; nullopt: one cannot read
// them.
std::optional<bool> same_bytes(lldb::SBProcess process, Address address, std::size_t size) {
  std::array<std::byte, 256> theirs{}, ours{};
  lldb::SBError error;
  const std::size_t got = process.ReadMemory(address, theirs.data(), size, error);
  if (got != size || error.Fail()) return std::nullopt;
  const LocalMemory local(process.GetProcessID());
  if (local.read_up_to(address, std::span(ours).first(size)) != size) return std::nullopt;
  return std::memcmp(theirs.data(), ours.data(), size) == 0;
}

}  // namespace

LldbTarget::LldbTarget(lldb::SBTarget target)
    : target_(target), console_(target.GetDebugger()), memory_(std::make_unique<NoMemory>()) {}
LldbTarget::~LldbTarget() = default;

// The same pid may be another process of this machine when LLDB is connected to a remote one: a
// piece of stack and the program's header must read the same both ways.
bool LldbTarget::answers_for_local_process() {
  lldb::SBProcess running = process();
  if (!LocalMemory(pid()).allowed()) return traced_by_child(pid());
  bool agreed = false;
  lldb::SBFrame frame = running.GetThreadAtIndex(0).GetFrameAtIndex(0);
  if (frame.IsValid()) {
    const auto same = same_bytes(running, frame.GetSP(), 64);
    if (same == std::optional(false)) return false;
    agreed = same.has_value();
  }
  lldb::SBModule program = target_.GetModuleAtIndex(0);
  lldb::SBAddress header = program.GetObjectFileHeaderAddress();
  const Address at = header.IsValid() ? header.GetLoadAddress(target_) : LLDB_INVALID_ADDRESS;
  if (at == LLDB_INVALID_ADDRESS) return agreed;
  const auto same = same_bytes(running, at, 256);
  return same.value_or(agreed);
}

ProcessKind LldbTarget::kind() {
  const ProcessState now = state();
  if (now != ProcessState::running && now != ProcessState::stopped) return ProcessKind::none;
  lldb::SBProcess there = process();
  Known known{there.GetUniqueID(), there.GetProcessID(), ProcessKind::none};
  if (known_.process == known.process && known_.pid == known.pid) return known_.kind;
  const std::string plugin = text_of(there.GetPluginName());
  if (plugin != "gdb-remote") {
    const bool core = plugin.find("core") != std::string::npos || plugin == "minidump";
    known.kind = core ? ProcessKind::core : ProcessKind::live_remote;
  } else if (now == ProcessState::running) {
    return ProcessKind::live_local;  // nothing can be compared yet
  } else {
    known.kind = answers_for_local_process() ? ProcessKind::live_local : ProcessKind::live_remote;
  }
  known_ = known;
  return known_.kind;
}

ProcessState LldbTarget::state() {
  lldb::SBProcess there = process();
  if (!there.IsValid()) return ProcessState::none;
  if (callback_thread_.IsValid()) return ProcessState::stopped;
  const lldb::StateType state = there.GetState();
  if (is_stopped(state)) {
    return is_really_stopped(there) ? ProcessState::stopped : ProcessState::running;
  }
  switch (state) {
    case lldb::eStateExited:
      return ProcessState::exited;
    case lldb::eStateAttaching:
    case lldb::eStateLaunching:
    case lldb::eStateRunning:
    case lldb::eStateStepping:
      return ProcessState::running;
    default:
      return ProcessState::none;
  }
}

std::uint64_t LldbTarget::pid() {
  const std::uint64_t id = process().GetProcessID();
  return id == LLDB_INVALID_PROCESS_ID ? 0 : id;
}

// Calls made by the user's expressions count: they may have allocated.
std::uint64_t LldbTarget::stop_id() {
  lldb::SBProcess there = process();
  return std::uint64_t{there.GetUniqueID()} << 32 | there.GetStopID(true);
}

std::string LldbTarget::missing_evidence() {
  (void)memory();
  return kind() == ProcessKind::core && core_ ? heapledger::missing_evidence(*core_) : "";
}

std::string LldbTarget::program_path() { return path_of(target_.GetExecutable()); }

bool LldbTarget::is_x86_64() {
  return text_of(target_.GetTriple()).starts_with("x86_64") && target_.GetAddressByteSize() == 8;
}

// "lldb version 19.1.7", then lines about the compiler.
std::string LldbTarget::debugger() {
  const std::string text = text_of(lldb::SBDebugger::GetVersionString());
  constexpr std::string_view kWord = "version ";
  const std::size_t at = text.find(kWord);
  if (at == std::string::npos) return "lldb";
  const std::size_t begin = at + kWord.size();
  return "lldb " + text.substr(begin, text.find_first_of(" \n", begin) - begin);
}

std::optional<int> LldbTarget::exit_status() {
  if (state() != ProcessState::exited) return std::nullopt;
  return process().GetExitStatus();
}

std::unique_ptr<Memory> LldbTarget::local_memory() {
  auto direct = std::make_unique<LocalMemory>(pid());
  if (direct->allowed()) return direct;
  return std::make_unique<SessionMemory>(target_);
}

const Memory& LldbTarget::memory() {
  const ProcessKind what = kind();
  Known now = known_;
  now.kind = what;
  const std::uint64_t stop = stop_id();
  const bool live = what == ProcessKind::live_remote || what == ProcessKind::live_local;
  const bool regions_may_differ = live && !memory_->reads_in_parallel() && stop != memory_stop_;
  if (now == memory_of_ && !regions_may_differ) return *memory_;
  memory_of_ = now;
  memory_stop_ = stop;
  switch (what) {
    case ProcessKind::none:
      memory_ = std::make_unique<NoMemory>();
      break;
    case ProcessKind::live_local:
      memory_ = local_memory();
      break;
    case ProcessKind::core:
      core_.reset();
      if (auto core = read_core_file(core_path(process()))) core_ = std::move(*core);
      // LLDB's own read of a core takes a lock; minidumps are left to it.
      memory_ = core_ ? memory_of(*core_) : std::make_unique<SessionMemory>(target_);
      break;
    case ProcessKind::live_remote:
      memory_ = std::make_unique<SessionMemory>(target_);
      break;
  }
  return *memory_;
}

Result<Mappings> LldbTarget::mappings() {
  switch (kind()) {
    case ProcessKind::none:
      return fail("cannot read the mappings: there is no process");
    case ProcessKind::live_local:
      return read_mappings(pid());
    case ProcessKind::core:
      memory();  // opens the core
      if (core_) return core_->mappings;
      return session_mappings(target_);
    default:
      return session_mappings(target_);
  }
}

std::vector<ThreadState> LldbTarget::thread_positions() {
  std::vector<ThreadState> result;
  lldb::SBProcess there = process();
  for (std::uint32_t i = 0; i < there.GetNumThreads(); ++i) {
    lldb::SBThread thread = there.GetThreadAtIndex(i);
    result.push_back(thread_position(thread));
  }
  return result;
}

std::vector<ThreadState> LldbTarget::threads() {
  std::vector<ThreadState> result;
  lldb::SBProcess there = process();
  for (std::uint32_t i = 0; i < there.GetNumThreads(); ++i) {
    lldb::SBThread thread = there.GetThreadAtIndex(i);
    result.push_back(thread_state(thread));
  }
  find_thread_pointers(result);
  return result;
}

// LLDB before 18 does not tell them.
void LldbTarget::find_thread_pointers(std::vector<ThreadState>& threads) {
  const auto unknown = [](const ThreadState& thread) { return thread.fs_base == 0; };
  if (kind() == ProcessKind::live_remote || std::none_of(threads.begin(), threads.end(), unknown)) return;
  const auto there = mappings();
  if (!there) return;
  for (ThreadState& thread : threads) {
    if (unknown(thread)) thread.fs_base = find_thread_pointer(memory(), *there, thread.tid, thread.sp);
  }
}

// What is loaded now answers, unless the ledger says that another module stood there.
lldb::SBAddress LldbTarget::code_place(CodeAddress address) {
  const ModuleHistory::Seen* seen = nullptr;
  if (const auto from = origin ? origin(address) : std::nullopt; from && !from->loaded) {
    seen = history_.find(from->path, from->bias);
    if (seen == nullptr) return {};
  } else {
    lldb::SBAddress place = target_.ResolveLoadAddress(address.pc);
    if (place.IsValid() && place.GetSection().IsValid()) return place;
    seen = history_.find(address.pc);
    if (seen == nullptr) return {};
  }
  lldb::SBModule module = seen->module;
  return module.ResolveFileAddress(address.pc - seen->bias);
}

std::vector<std::vector<SymbolFrame>> LldbTarget::symbolize(
    std::span<const CodeAddress> addresses) {
  std::vector<std::vector<SymbolFrame>> result;
  result.reserve(addresses.size());
  for (const CodeAddress address : addresses) {
    lldb::SBAddress place = code_place(address);
    auto frames = frames_at(target_, place, address.pc);
    if (own_module_name && !frames.back().module.empty()) {
      const std::string own = own_module_name(place.GetModule());
      for (SymbolFrame& frame : frames) frame.module = own.empty() ? frame.module : own;
    }
    result.push_back(std::move(frames));
  }
  return result;
}

std::optional<DataName> LldbTarget::name_data(Address address) { return data_at(target_, address); }

std::vector<FrameInfo> LldbTarget::backtrace(std::uint64_t tid, bool with_variables) {
  lldb::SBThread thread = process().GetThreadByID(tid);
  if (!thread.IsValid()) return {};
  return thread_frames(thread, with_variables);
}

std::vector<CodeAddress> LldbTarget::call_stack(std::uint64_t tid, std::size_t limit) {
  lldb::SBThread thread = process().GetThreadByID(tid);
  if (!thread.IsValid()) return {};
  return call_stacks_.of(thread, memory(), limit);
}

std::vector<LoadedModule> LldbTarget::loaded_modules() {
  std::vector<LoadedModule> modules;
  lldb::SBFileSpec program = target_.GetExecutable();
  for (std::uint32_t i = 0; i < target_.GetNumModules(); ++i) {
    lldb::SBModule module = target_.GetModuleAtIndex(i);
    const auto bias = bias_of(module, target_);
    if (!bias || (own_module_name && !own_module_name(module).empty())) continue;
    const std::string path = path_of(module.GetFileSpec());
    modules.push_back({path, *bias, path == path_of(program)});
  }
  return modules;
}

void LldbTarget::forget_process() {
  history_.clear();
  call_stacks_.forget_process();
}

lldb::SBThread LldbTarget::current_thread() {
  if (callback_thread_.IsValid()) return callback_thread_;
  lldb::SBProcess there = process();
  lldb::SBThread selected = there.GetSelectedThread();
  return selected.IsValid() ? selected : there.GetThreadAtIndex(0);
}

Result<Address> LldbTarget::evaluate(const std::string& expression) {
  return evaluate_address(target_, current_thread(), expression);
}

}  // namespace heapledger
