// SPDX-License-Identifier: Apache-2.0
//
// The exit code of a batch debugger. LLDB offers no call for it, but remembers the code of a `quit N`
// while the commands after it still run.
#pragma once

#include <lldb/API/LLDB.h>

namespace heapledger {

// Remembers that commands are taken on this thread, and whether they are waited for (batch).
void note_command_thread(lldb::SBDebugger debugger);

// Only in batch: on a terminal a nested quit ends LLDB's event thread, and the next `run` prints
// nothing. A callback cannot ask LLDB (GetAsync() is true in all of them), but in batch it runs on the
// thread that takes the commands.
void set_exit_code(lldb::SBDebugger debugger, int code);

// A quit of ours, not the user's.
bool is_nested_quit();

}  // namespace heapledger
