// SPDX-License-Identifier: Apache-2.0
//
// Expressions: what a user types for an address, and calls of the inferior's functions.
#pragma once

#include <lldb/API/LLDB.h>

#include <cstdint>
#include <span>
#include <string>

#include "inferior/address.h"
#include "inferior/result.h"

namespace heapledger {

// Options under which nothing of the user's session is disturbed: other threads stay stopped,
// breakpoints are not reported, a failure is unwound, no $0 is taken.
lldb::SBExpressionOptions quiet_options();

// A number (0x..., decimal, or hexadecimal digits as reports print them), a register ($rdi), or an
// expression of the program's language in the selected frame. A pointer or integer gives its value,
// an array or object its address. The Error is the reason only.
Result<Address> evaluate_address(lldb::SBTarget& target, lldb::SBThread thread,
                                 const std::string& expression);

// Calls the function at an address on `thread`.
Result<std::uint64_t> call_function(lldb::SBThread thread, Address function,
                                    std::span<const std::uint64_t> arguments);

}  // namespace heapledger
