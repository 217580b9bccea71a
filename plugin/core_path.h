// SPDX-License-Identifier: Apache-2.0
//
// Which file a core's process was opened from. Since LLDB 18 the process tells; before, LLDB's own
// mappings do: it maps the cores that it has open.
#pragma once

#include <lldb/API/LLDB.h>

#include <string>

namespace heapledger {

// Empty when it cannot be told: before LLDB 18 also while several cores are open.
std::string core_path(lldb::SBProcess process);

}  // namespace heapledger
