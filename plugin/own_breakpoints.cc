// SPDX-License-Identifier: Apache-2.0
#include "plugin/own_breakpoints.h"

#include <vector>

#include "plugin/debuggee.h"
#include "plugin/entry.h"
#include "plugin/sb_text.h"

namespace heapledger {
namespace {

constexpr const char* kHiddenName = "heapledger_hidden";
constexpr const char* kLoaderName = "heapledger_loader";

// The last event of a dynamic program's loader is told at _dl_debug_state (glibc, musl);
// __libc_start_main is where libc takes over in a static one.
const char* kLoaderFunctions[] = {"_dl_debug_state", "__libc_start_main"};
const char* kLoaderOnly[] = {"_dl_debug_state"};
// glibc has one function under both names; in musl exit() calls _Exit directly.
const char* kExitFunctions[] = {"_exit", "_Exit"};

bool on_loader_event(void*, lldb::SBProcess& process, lldb::SBThread& thread,
                     lldb::SBBreakpointLocation& location) {
  report_trouble(process, enter([&] {
    const std::string function = text_of(location.GetAddress().GetSymbol().GetName());
    Debuggees::instance().of(process.GetTarget()).loader_event(thread, function);
  }));
  return false;  // the program goes on
}

bool on_exit_call(void*, lldb::SBProcess& process, lldb::SBThread& thread,
                  lldb::SBBreakpointLocation&) {
  report_trouble(process, enter([&] {
    Debuggees::instance().of(process.GetTarget()).exit_call(thread);
  }));
  return false;
}

template <std::size_t N>
lldb::SBBreakpoint make(lldb::SBTarget& target, const char* (&functions)[N],
                        lldb::SBBreakpointHitCallback callback) {
  lldb::SBBreakpoint breakpoint = target.BreakpointCreateByNames(
      functions, N, lldb::eFunctionNameTypeAuto, lldb::SBFileSpecList(), lldb::SBFileSpecList());
  breakpoint.SetCallback(callback, nullptr);
  breakpoint.AddName(kBreakpointName);
  return breakpoint;
}

std::vector<lldb::SBBreakpoint> named(lldb::SBTarget& target, const char* name) {
  lldb::SBBreakpointList list(target);
  target.FindBreakpointsByName(name, list);
  std::vector<lldb::SBBreakpoint> found;
  for (std::size_t i = 0; i < list.GetSize(); ++i) found.push_back(list.GetBreakpointAtIndex(i));
  return found;
}

}  // namespace

void report_trouble(lldb::SBProcess& process, const std::optional<std::string>& trouble) {
  if (!trouble) return;
  try {
    Console(process.GetTarget().GetDebugger()).write("heapledger: " + *trouble + "\n");
  } catch (...) {  // out of memory once more: no exception leaves
  }
}

// A breakpoint takes a name's permissions over in the moment it gets the name, and getting it again
// undoes that (LLDB 19), so each gets it once. Each change of the name goes through all that have it.
void hide(lldb::SBTarget& target, lldb::SBBreakpoint& breakpoint) {
  if (breakpoint.MatchesName(kHiddenName)) return;
  lldb::SBBreakpointName name(target, kHiddenName);
  if (name.GetAllowDelete()) {
    name.SetAllowList(false);
    name.SetAllowDelete(false);
    name.SetAllowDisable(false);
  }
  breakpoint.AddName(kHiddenName);
}

void arm_loader_events(lldb::SBTarget target) {
  if (!named(target, kLoaderName).empty()) return;
  make(target, kLoaderFunctions, on_loader_event).AddName(kLoaderName);
}

void arm_loader_events_only(lldb::SBTarget target) {
  if (!named(target, kLoaderName).empty()) return disable_start_events(target);
  make(target, kLoaderOnly, on_loader_event).AddName(kLoaderName);
}

void disarm_loader_events(lldb::SBTarget target) {
  for (lldb::SBBreakpoint breakpoint : named(target, kLoaderName)) {
    target.BreakpointDelete(breakpoint.GetID());
  }
}

lldb::SBBreakpoint make_loader_breakpoint(lldb::SBTarget target, lldb::addr_t function) {
  lldb::SBBreakpoint breakpoint = target.BreakpointCreateByAddress(function);
  breakpoint.SetCallback(on_loader_event, nullptr);
  hide(target, breakpoint);
  return breakpoint;
}

void disable_start_events(lldb::SBTarget target) {
  for (lldb::SBBreakpoint breakpoint : named(target, kLoaderName)) {
    for (std::uint32_t j = 0; j < breakpoint.GetNumLocations(); ++j) {
      lldb::SBBreakpointLocation location = breakpoint.GetLocationAtIndex(j);
      const std::string function = text_of(location.GetAddress().GetSymbol().GetName());
      if (function.starts_with("__libc_start_main")) location.SetEnabled(false);
    }
  }
}

lldb::SBBreakpoint make_exit_breakpoint(lldb::SBTarget target, lldb::addr_t stop) {
  lldb::SBBreakpoint breakpoint;
  if (stop == 0) {
    breakpoint = make(target, kExitFunctions, on_exit_call);
  } else {
    // In a module that was announced, whose end exec is too: no trap comes into the next program.
    lldb::SBAddress address = target.ResolveLoadAddress(stop);
    breakpoint = target.BreakpointCreateBySBAddress(address);
    breakpoint.SetCallback(on_exit_call, nullptr);
  }
  hide(target, breakpoint);
  return breakpoint;
}

lldb::SBBreakpoint make_entry_breakpoint(lldb::SBTarget target, lldb::addr_t entry) {
  lldb::SBModule program = target.FindModule(target.GetExecutable());
  lldb::SBAddress first = program.ResolveFileAddress(entry);
  if (!first.IsValid()) return {};
  lldb::SBInstructionList instructions = target.ReadInstructions(first, 2);
  if (instructions.GetSize() < 2) return {};
  lldb::SBAddress second = instructions.GetInstructionAtIndex(1).GetAddress();
  lldb::SBBreakpoint breakpoint = target.BreakpointCreateBySBAddress(second);
  breakpoint.SetCallback(on_loader_event, nullptr);
  breakpoint.AddName(kBreakpointName);
  hide(target, breakpoint);
  return breakpoint;
}

void protect_breakpoints(lldb::SBTarget target) {
  for (std::uint32_t i = 0; i < target.GetNumBreakpoints(); ++i) {
    lldb::SBBreakpoint breakpoint = target.GetBreakpointAtIndex(i);
    if (breakpoint.MatchesName(kBreakpointName)) hide(target, breakpoint);
  }
}

}  // namespace heapledger
