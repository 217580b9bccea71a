// SPDX-License-Identifier: Apache-2.0
//
// Names of C++ functions and variables as people write them.
#pragma once

#include <string>

namespace heapledger {

// As the C++ ABI library demangles it; other names are returned as they are.
std::string demangled(const std::string& name);

}  // namespace heapledger
