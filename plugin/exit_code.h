// SPDX-License-Identifier: Apache-2.0
//
// The exit code of a debugger that runs without a person. LLDB offers no call for it, but remembers
// the code of a `quit N` while the commands after it still run.
//
// On a terminal such a nested quit ends LLDB's event thread: the next `run` prints nothing and
// never comes back. LLDB cannot be asked whether a terminal follows: commands given by -o and -s
// are waited for (GetAsync() is false) before a prompt appears, too, and in callbacks it is always
// true. So the code is set at once only under `lldb --batch`, and otherwise by a `quit` that is
// waited for.
#pragma once

#include <lldb/API/LLDB.h>

namespace heapledger {

// To be called by every command: callbacks on another thread than this belong to a terminal.
void note_command_thread(lldb::SBDebugger debugger);

void set_exit_code(lldb::SBDebugger debugger, int code);

// The user's `quit` is about to run; `has_code`: it names one itself.
void before_quit_command(lldb::SBDebugger debugger, bool has_code);

// A quit of ours is running, not the user's.
bool is_nested_quit();

}  // namespace heapledger
