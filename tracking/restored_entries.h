// SPDX-License-Identifier: Apache-2.0
//
// Entries that an earlier debugger session patched, put back as the files have them: this session does
// not know what was displaced.
#pragma once

#include <vector>

#include "inferior/memory.h"
#include "inferior/modules.h"
#include "inferior/target.h"
#include "tracking/patcher.h"

namespace heapledger {

// Of one function. Whether it had been changed.
Result<bool> restore_from_file(const Memory& memory, TargetControl& control, const HookRequest& function);
// Every entry point of every module; how many had been changed. The Error is of the first one that cannot
// be written.
Result<std::size_t> restore_from_files(const Memory& memory, TargetControl& control,
                                       const std::vector<Module>& modules);

}  // namespace heapledger
