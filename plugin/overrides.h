// SPDX-License-Identifier: Apache-2.0
//
// What has to be done before a command of LLDB's own: it is the only notice of a launch, a detach
// or the end that a plugin gets in time.
#pragma once

#include <lldb/API/LLDB.h>

namespace heapledger {

void install_overrides(lldb::SBDebugger debugger);

}  // namespace heapledger
