// SPDX-License-Identifier: Apache-2.0
//
// Breakpoints of ours. LLDB's API has no internal ones: each takes a number from the user. A
// breakpoint name with permissions keeps them out of `breakpoint list`, `delete` and `disable`.
#pragma once

#include <lldb/API/LLDB.h>

#include <optional>
#include <string>

namespace heapledger {

inline constexpr const char* kBreakpointName = "heapledger";

// Where the loader tells of libraries, and where static programs start. In LLDB's dummy target it
// is copied, callback included, into every target made later. Does nothing when the target has it.
void arm_loader_events(lldb::SBTarget target);
// The loader's event by its address: LLDB up to 16 learns where ld.so is when the program starts, and
// breakpoints by name in it are not inserted even then.
lldb::SBBreakpoint make_loader_breakpoint(lldb::SBTarget target, lldb::addr_t function);
// In a process that is attached to: of a libc that has long started nothing is to be told. Taken away
// before attaching, because LLDB inserts the traps of breakpoints that are disabled too.
void arm_loader_events_only(lldb::SBTarget target);
void disarm_loader_events(lldb::SBTarget target);
// Where the loader itself tells, libc's start is of no interest: its trap, which is LLDB's only for
// us, goes before the program comes to it.
void disable_start_events(lldb::SBTarget target);

// `stop` 0: at _exit.
lldb::SBBreakpoint make_exit_breakpoint(lldb::SBTarget target, lldb::addr_t stop);
// At the second instruction of a program: a breakpoint at its entry never fires, because the
// process already stands there. An invalid one when the program's code cannot be read.
lldb::SBBreakpoint make_entry_breakpoint(lldb::SBTarget target, lldb::addr_t entry);

// Out of the user's sight and reach. To be called once for each breakpoint.
void hide(lldb::SBTarget& target, lldb::SBBreakpoint& breakpoint);

// A line for the user of what went wrong in a callback.
void report_trouble(lldb::SBProcess& process, const std::optional<std::string>& trouble);

// A breakpoint name belongs to one target; a copy of the breakpoint comes without it.
void protect_breakpoints(lldb::SBTarget target);

}  // namespace heapledger
