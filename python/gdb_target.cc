// SPDX-License-Identifier: Apache-2.0
#include "python/gdb_target.h"

#include <fmt/format.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <algorithm>

#include "inferior/local_memory.h"
#include "inferior/printable.h"
#include "inferior/target_modules.h"
#include "python/process_mappings.h"

namespace heapledger {
namespace {

constexpr auto kQuietFor = std::chrono::milliseconds(700);
constexpr auto kBetween = std::chrono::milliseconds(100);

class NoMemory final : public Memory {
 public:
  std::size_t read_up_to(Address, std::span<std::byte>) const override { return 0; }
};

// Through gdb, one thread only. A read across a hole fails as a whole there, so page by page then.
class SessionMemory final : public Memory {
 public:
  explicit SessionMemory(py::object debugger) : debugger_(std::move(debugger)) {}
  bool reads_in_parallel() const override { return false; }
  std::size_t read_up_to(Address address, std::span<std::byte> out) const override {
    if (read(address, out)) return out.size();
    std::size_t done = 0;
    while (done < out.size()) {
      const Address at = address + done;
      const std::size_t rest = kPage - at % kPage;
      const std::size_t want = std::min<std::size_t>(rest, out.size() - done);
      if (!read(at, out.subspan(done, want))) break;
      done += want;
    }
    return done;
  }

 private:
  static constexpr Address kPage = 4096;
  bool read(Address address, std::span<std::byte> out) const {
    const auto bytes = ask([&] { return debugger_.attr("read")(address, out.size()); });
    if (!bytes || !py::isinstance<py::buffer>(*bytes)) return false;
    const py::buffer_info info = py::buffer(*bytes).request();
    if (std::size_t(info.size * info.itemsize) != out.size()) return false;
    std::memcpy(out.data(), info.ptr, out.size());
    return true;
  }
  py::object debugger_;
};

template <typename T>
T get(const py::object& debugger, const char* method, T otherwise) {
  const auto value = ask([&] { return debugger.attr(method)(); });
  if (!value || value->is_none()) return otherwise;
  try {
    return value->template cast<T>();
  } catch (const py::cast_error&) {
    return otherwise;
  }
}

// Of `info files`: "Local core dump file:\n\t`/tmp/core', file type elf64-x86-64."
std::string core_path(const std::string& files) {
  std::size_t at = files.find("core dump file:");
  if (at != std::string::npos) at = files.find('`', at);
  const std::size_t end = at == std::string::npos ? at : files.find("', file type", at);
  return end == std::string::npos ? "" : files.substr(at + 1, end - at - 1);
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

GdbTarget::GdbTarget(py::object debugger)
    : debugger_(std::move(debugger)), memory_(std::make_unique<NoMemory>()) {}
GdbTarget::~GdbTarget() = default;

ProcessKind GdbTarget::kind() {
  const auto connection = get<std::string>(debugger_, "connection", "");
  if (connection.empty()) return ProcessKind::none;
  if (connection == "native") return ProcessKind::live_local;
  return connection == "core" ? ProcessKind::core : ProcessKind::live_remote;
}

ProcessState GdbTarget::state() {
  if (in_callback) return ProcessState::stopped;
  const auto state = get<std::string>(debugger_, "state", "none");
  if (state == "stopped") return ProcessState::stopped;
  if (state == "running") return ProcessState::running;
  return state == "exited" ? ProcessState::exited : ProcessState::none;
}

std::uint64_t GdbTarget::pid() { return get<std::uint64_t>(debugger_, "pid", 0); }
std::uint64_t GdbTarget::stop_id() { return get<std::uint64_t>(debugger_, "stop_id", 0); }
std::string GdbTarget::program_path() { return get<std::string>(debugger_, "program_path", ""); }
bool GdbTarget::is_x86_64() {
  return get<std::string>(debugger_, "architecture", "") == "i386:x86-64";
}
std::string GdbTarget::missing_evidence() {
  const CoreFile* core = kind() == ProcessKind::core ? core_file() : nullptr;
  return core == nullptr ? "" : heapledger::missing_evidence(*core);
}

std::string GdbTarget::debugger() { return "gdb " + get<std::string>(debugger_, "version", ""); }

std::optional<int> GdbTarget::exit_status() {
  if (state() != ProcessState::exited) return std::nullopt;
  const int status = get<int>(debugger_, "exit_status", -1);
  return status < 0 ? std::nullopt : std::optional(status);
}

std::unique_ptr<Memory> GdbTarget::make_memory(ProcessKind what) {
  switch (what) {
    case ProcessKind::none:
      return std::make_unique<NoMemory>();
    case ProcessKind::live_local:
      if (auto direct = std::make_unique<LocalMemory>(pid()); direct->allowed()) return direct;
      return std::make_unique<SessionMemory>(debugger_);
    case ProcessKind::live_remote:
      return std::make_unique<SessionMemory>(debugger_);
    case ProcessKind::core:
      break;
  }
  if (const CoreFile* core = core_file()) return memory_of(*core);
  return std::make_unique<SessionMemory>(debugger_);
}

const CoreFile* GdbTarget::core_file() {
  const auto path = core_path(get<std::string>(debugger_, "files", ""));
  if (path != core_path_) {
    core_path_ = path;
    core_file_.reset();
    if (auto core = read_core_file(path)) core_file_ = std::move(*core);
  }
  return core_file_ ? &*core_file_ : nullptr;
}

const Memory& GdbTarget::memory() {
  const std::pair now{kind(), pid()};
  if (now == memory_of_) return *memory_;
  memory_of_ = now;
  memory_ = make_memory(now.first);
  return *memory_;
}

Result<Mappings> GdbTarget::mappings() {
  switch (kind()) {
    case ProcessKind::none:
      return fail("cannot read the mappings: there is no process");
    case ProcessKind::live_local:
      return read_mappings(pid());
    case ProcessKind::core:
      if (const CoreFile* core = core_file()) return core->mappings;
      return fail("cannot read the core file's mappings");
    case ProcessKind::live_remote:
      return parse_process_mappings(get<std::string>(debugger_, "process_mappings", ""));
  }
  return fail("cannot read the mappings");
}

const std::vector<Module>& GdbTarget::modules() {
  const std::uint64_t stop = stop_id();
  if (modules_stop_ == stop && !in_callback) return modules_;
  modules_stop_ = stop;
  modules_.clear();
  const auto there = mappings();
  if (!there) return modules_;
  if (auto read = read_modules(*this, *there)) modules_ = std::move(*read);
  return modules_;
}

std::vector<ThreadState> GdbTarget::read_threads(bool registers) {
  std::vector<ThreadState> result;
  const auto list = ask([&] { return debugger_.attr("threads")(registers); });
  if (!list) return result;
  const CoreFile* core = kind() == ProcessKind::core ? core_file() : nullptr;
  for (const py::handle one : *list) {
    const auto [tid, index, name, numbers, vector] =
        one.cast<std::tuple<std::uint64_t, std::uint32_t, std::string, std::vector<std::uint64_t>,
                            std::vector<std::uint64_t>>>();
    ThreadState state;
    state.tid = tid;
    state.index = index;
    state.name = name;
    // pc, sp, fs_base, then the general registers in ThreadState's order.
    if (numbers.size() > 0) state.pc = numbers[0];
    if (numbers.size() > 1) state.sp = numbers[1];
    if (numbers.size() > 2) state.fs_base = numbers[2];
    state.has_registers = numbers.size() == 3 + state.general.size();
    if (state.has_registers) std::copy(numbers.begin() + 3, numbers.end(), state.general.begin());
    state.vector = vector;
    if (registers && core != nullptr) {
      // Once more where gdb has them; it cannot read the long note of newer kernels.
      const auto found = core->vector_registers.find(tid);
      if (found != core->vector_registers.end()) {
        state.vector.insert(state.vector.end(), found->second.begin(), found->second.end());
      }
    }
    result.push_back(std::move(state));
  }
  return result;
}

std::vector<ThreadState> GdbTarget::thread_positions() { return read_threads(false); }
std::vector<ThreadState> GdbTarget::threads() { return read_threads(true); }

// What is loaded now answers, unless the ledger says that another module stood there.
GdbTarget::Place GdbTarget::code_place(CodeAddress address) {
  if (const auto from = origin ? origin(address) : std::nullopt; from && !from->loaded) {
    return {base_name(from->path), from->elf, from->bias};
  }
  const Module* module = find_module(modules_, address.pc);
  return module == nullptr ? Place{} : Place{module->name, module->elf, module->bias};
}

const DebugFile& GdbTarget::debug_file(const std::shared_ptr<const ElfFile>& elf) {
  auto& [kept, file] = debug_files_[elf.get()];
  if (file == nullptr) {
    kept = elf;
    file = std::make_unique<DebugFile>(elf, debug_directories_);
  }
  return *file;
}

std::vector<std::vector<SymbolFrame>> GdbTarget::symbolize(
    std::span<const CodeAddress> addresses) {
  (void)modules();
  auto directories = get<std::string>(debugger_, "debug_directories", "");
  if (directories != debug_directories_) debug_files_.clear();
  debug_directories_ = std::move(directories);
  std::vector<std::vector<SymbolFrame>> result;
  result.reserve(addresses.size());
  for (const CodeAddress& address : addresses) {
    const Place place = code_place(address);
    std::vector<SymbolFrame> frames(1);
    if (place.elf != nullptr) frames = debug_file(place.elf).frames(address.pc - place.bias);
    for (SymbolFrame& frame : frames) {
      frame.module = place.module;
      frame.module_offset = place.module.empty() ? 0 : address.pc - place.bias;
      frame.address = address.pc;
    }
    result.push_back(std::move(frames));
  }
  return result;
}

std::optional<DataName> GdbTarget::name_data(Address address) {
  const Module* module = find_module(modules(), address);
  if (module == nullptr || module->elf == nullptr) return std::nullopt;
  auto name = debug_file(module->elf).data(address - module->bias);
  if (name) name->module = module->name;
  return name;
}

std::vector<FrameInfo> GdbTarget::backtrace(std::uint64_t tid, bool with_variables) {
  std::vector<FrameInfo> frames;
  const auto list = ask([&] { return debugger_.attr("backtrace")(tid, with_variables); });
  if (!list) return frames;
  std::vector<Address> stack_pointers;
  for (const py::handle one : *list) {
    const auto [pc, sp, function, file, line, variables] =
        one.cast<std::tuple<Address, Address, std::string, std::string, std::uint32_t,
                            std::vector<std::tuple<std::string, std::string, Address,
                                                   std::uint64_t>>>>();
    FrameInfo info;
    info.index = std::uint32_t(frames.size());
    info.pc = pc;
    info.function = function;
    info.file = file;
    info.line = line;
    for (const auto& [name, type, address, size] : variables) {
      info.variables.push_back({name, type, {address, address + size}});
    }
    stack_pointers.push_back(sp);
    frames.push_back(std::move(info));
  }
  // A frame's memory ends where its caller's begins; inlined functions share their caller's.
  Address end = 0, caller = 0;
  for (std::size_t i = frames.size(); i-- > 0;) {
    if (stack_pointers[i] != caller) {
      end = caller;
      caller = stack_pointers[i];
    }
    frames[i].cfa = end;
  }
  return frames;
}

std::vector<CodeAddress> GdbTarget::call_stack(std::uint64_t tid, std::size_t limit) {
  std::vector<CodeAddress> stack;
  const auto list = ask([&] { return debugger_.attr("call_stack")(tid, limit); });
  if (!list) return stack;
  for (const auto& [pc, interrupted] : list->cast<std::vector<std::pair<Address, bool>>>()) {
    stack.push_back({pc, 0, interrupted});
  }
  return stack;
}

// Of a remote process, from the files its mappings name, as far as this machine has them too.
std::vector<LoadedModule> GdbTarget::loaded_modules() {
  std::vector<LoadedModule> result;
  if (kind() != ProcessKind::live_remote) return result;
  const auto there = mappings();
  if (!there) return result;
  const std::string program = program_path();
  for (const Mapping& mapping : *there) {
    if (mapping.file_offset != 0 || !mapping.name.starts_with('/')) continue;
    const auto elf = ElfFile::open(mapping.name);
    if (!elf) continue;
    const auto segments = (*elf)->segments();
    const auto first = std::find_if(segments.begin(), segments.end(), [](const ElfSegment& s) {
      return s.type == 1;  // PT_LOAD
    });
    if (first == segments.end()) continue;
    result.push_back({mapping.name, mapping.range.begin - (first->address - first->offset),
                      mapping.name == program});
  }
  return result;
}

Result<Address> GdbTarget::evaluate(const std::string& expression) {
  const auto value = ask([&] { return debugger_.attr("evaluate")(expression); });
  if (!value) return tl::unexpected(value.error());
  return value->cast<Address>();
}

// ---------------------------------------------------------------------------------------------
// The user.

void GdbTarget::begin_command() {
  begun_ = Clock::now();
  interrupted_ = false;
}

void GdbTarget::end_command() { clear_progress(); }

void GdbTarget::out(std::string_view text) {
  if (text.empty()) return;
  clear_progress();
  // A path or a name may hold any bytes.
  const std::string visible = printable(text);
  if (capture) return capture(visible);
  // The pager may be left with q, which is an interrupt.
  if (interrupted_) return;
  const auto shown = ask([&] {
    PyObject* string = PyUnicode_DecodeUTF8(visible.data(), py::ssize_t(visible.size()), "replace");
    return debugger_.attr("out")(py::reinterpret_steal<py::str>(string));
  });
  if (!shown) interrupted_ = true;
}

bool GdbTarget::interrupted() {
  if (interrupted_) return true;
  if (PyErr_CheckSignals() != 0) {
    PyErr_Clear();
    interrupted_ = true;
  }
  return interrupted_;
}

void GdbTarget::progress(std::uint64_t done, std::uint64_t total, std::string_view what) {
  const auto now = Clock::now();
  if (capture || total == 0 || now - begun_ < kQuietFor || now - last_progress_ < kBetween ||
      isatty(STDOUT_FILENO) != 1) {
    return;
  }
  last_progress_ = now;
  progress_shown_ = true;
  const std::string line = fmt::format("\r{} {} %\x1b[K", what, done * 100 / total);
  (void)!write(STDOUT_FILENO, line.data(), line.size());
}

void GdbTarget::clear_progress() {
  if (progress_shown_) (void)!write(STDOUT_FILENO, "\r\x1b[K", 4);
  progress_shown_ = false;
}

}  // namespace heapledger
