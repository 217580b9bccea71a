// SPDX-License-Identifier: Apache-2.0
#include "plugin/registers.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>

#include "plugin/sb_text.h"

namespace heapledger {
namespace {

constexpr std::array<const char*, 15> kGeneral = {"rax", "rbx", "rcx", "rdx", "rsi",
                                                  "rdi", "rbp", "r8",  "r9",  "r10",
                                                  "r11", "r12", "r13", "r14", "r15"};
constexpr unsigned kVectorRegisters = 16;
constexpr std::uint32_t kMostFrames = 20000;  // of a recursion that ran away

std::optional<std::uint64_t> register_value(lldb::SBFrame& frame, const char* name) {
  lldb::SBValue value = frame.FindRegister(name);
  if (!value.IsValid() || value.GetError().Fail()) return std::nullopt;
  lldb::SBError error;
  const std::uint64_t number = value.GetValueAsUnsigned(error, 0);
  return error.Success() ? std::optional(number) : std::nullopt;
}

// zmm, ymm or xmm, the widest set there is.
void read_vector_registers(lldb::SBFrame& frame, std::vector<std::uint64_t>& words) {
  for (const char* set : {"zmm", "ymm", "xmm"}) {
    if (!frame.FindRegister(fmt::format("{}0", set).c_str()).IsValid()) continue;
    for (unsigned i = 0; i < 2 * kVectorRegisters; ++i) {
      lldb::SBValue value = frame.FindRegister(fmt::format("{}{}", set, i).c_str());
      if (!value.IsValid()) break;
      std::array<std::uint64_t, 8> raw{};
      lldb::SBError error;
      lldb::SBData data = value.GetData();
      const std::size_t size = std::min(data.GetByteSize(), sizeof raw);
      data.ReadRawData(error, 0, raw.data(), size);
      if (error.Success()) words.insert(words.end(), raw.begin(), raw.begin() + size / 8);
    }
    if (!words.empty()) return;
  }
}

// Only what has an address in memory and is the variable itself: LLDB's dynamic value of a pointer
// to a polymorphic object is the object.
std::vector<Variable> variables_of(lldb::SBFrame& frame) {
  std::vector<Variable> result;
  lldb::SBValueList list = frame.GetVariables(true, true, false, true, lldb::eNoDynamicValues);
  for (std::uint32_t i = 0; i < list.GetSize(); ++i) {
    lldb::SBValue value = list.GetValueAtIndex(i);
    value.SetPreferSyntheticValue(false);
    const Address at = value.GetLoadAddress();
    if (at == LLDB_INVALID_ADDRESS || at == 0) continue;
    result.push_back(
        {text_of(value.GetName()), text_of(value.GetTypeName()), {at, at + value.GetByteSize()}});
  }
  return result;
}

}  // namespace

ThreadState thread_position(lldb::SBThread& thread) {
  ThreadState state;
  state.tid = thread.GetThreadID();
  state.index = thread.GetIndexID();
  lldb::SBFrame frame = thread.GetFrameAtIndex(0);
  if (frame.IsValid()) {
    state.pc = frame.GetPC();
    state.sp = frame.GetSP();
  }
  return state;
}

ThreadState thread_state(lldb::SBThread& thread) {
  ThreadState state = thread_position(thread);
  state.name = text_of(thread.GetName());
  lldb::SBFrame frame = thread.GetFrameAtIndex(0);
  if (!frame.IsValid()) return state;
  state.has_registers = true;
  for (std::size_t i = 0; i < kGeneral.size(); ++i) {
    const auto value = register_value(frame, kGeneral[i]);
    state.general[i] = value.value_or(0);
    state.has_registers = state.has_registers && value.has_value();
  }
  state.fs_base = register_value(frame, "fs_base").value_or(0);
  read_vector_registers(frame, state.vector);
  return state;
}

WatchedStop watched_stop(lldb::SBThread& thread, Address address) {
  lldb::SBFrame frame = thread.GetFrameAtIndex(0);
  WatchedStop stop{.tid = thread.GetThreadID(), .pc = address, .sp = frame.GetSP()};
  stop.rdi = register_value(frame, "rdi").value_or(0);
  stop.rsi = register_value(frame, "rsi").value_or(0);
  stop.rdx = register_value(frame, "rdx").value_or(0);
  stop.rcx = register_value(frame, "rcx").value_or(0);
  stop.rax = register_value(frame, "rax").value_or(0);
  stop.r11 = register_value(frame, "r11").value_or(0);
  return stop;
}

std::vector<FrameInfo> thread_frames(lldb::SBThread& thread, bool with_variables) {
  std::vector<FrameInfo> frames;
  for (std::uint32_t i = 0; i < kMostFrames; ++i) {
    lldb::SBFrame frame = thread.GetFrameAtIndex(i);
    if (!frame.IsValid()) break;
    FrameInfo info;
    info.index = i;
    info.pc = frame.GetPC();
    const Address cfa = frame.GetCFA();
    info.cfa = cfa == LLDB_INVALID_ADDRESS ? 0 : cfa;
    info.function = text_of(frame.GetFunctionName());
    const lldb::SBLineEntry line = frame.GetLineEntry();
    if (line.IsValid()) {
      info.file = path_of(line.GetFileSpec());
      info.line = line.GetLine();
    }
    if (with_variables) info.variables = variables_of(frame);
    frames.push_back(std::move(info));
  }
  return frames;
}

}  // namespace heapledger
