// SPDX-License-Identifier: Apache-2.0
//
// Names for addresses, from LLDB's symbol tables and debug information.
#pragma once

#include <lldb/API/LLDB.h>

#include <optional>
#include <vector>

#include "inferior/target.h"

namespace heapledger {

// The function that contains a code address and the ones inlined there, innermost first. An address
// without a section gives one frame that has nothing but `pc`.
std::vector<SymbolFrame> frames_at(lldb::SBTarget& target, lldb::SBAddress address, Address pc);

// The data symbol that contains an address, else the section it is in.
std::optional<DataName> data_at(lldb::SBTarget& target, Address address);

// "[vdso]", or the last component of the module's path.
std::string module_name(lldb::SBModule module);

}  // namespace heapledger
