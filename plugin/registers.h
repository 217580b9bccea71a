// SPDX-License-Identifier: Apache-2.0
//
// Threads, their registers and their stacks' frames, as LLDB has them.
#pragma once

#include <lldb/API/LLDB.h>

#include <vector>

#include "inferior/target.h"

namespace heapledger {

// tid, index, pc and sp.
ThreadState thread_position(lldb::SBThread& thread);
// With everything else. Registers by name: enumerating the sets costs ten times as much.
ThreadState thread_state(lldb::SBThread& thread);

// Of a thread that stands at a watched address.
WatchedStop watched_stop(lldb::SBThread& thread, Address address);

std::vector<FrameInfo> thread_frames(lldb::SBThread& thread, bool with_variables);

}  // namespace heapledger
