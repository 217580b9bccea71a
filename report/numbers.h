// SPDX-License-Identifier: Apache-2.0
//
// How numbers and kinds are written for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/protocol.h"

namespace heapledger {

// "76,976": Valgrind's way, used where its layout is.
std::string with_commas(std::uint64_t value);

// The entry point's name as a C++ programmer writes it: "malloc", "operator new[]".
std::string_view kind_name(agent::Kind kind);

// Last component of a path; the whole text when it has no slash.
std::string_view file_name(std::string_view path);

// "operator new[]" of "operator new[](unsigned long, std::align_val_t)": without the parameters.
std::string_view without_parameters(std::string_view function);

}  // namespace heapledger
