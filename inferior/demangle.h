// SPDX-License-Identifier: Apache-2.0
//
// Names of C++ functions and variables as people write them.
#pragma once

#include <string>
#include <string_view>

namespace heapledger {

// As the C++ ABI library demangles it; other names, and those that stand for more than 64 KiB, are returned
// as they are, cut to 64 KiB.
std::string demangled(std::string_view name);

}  // namespace heapledger
