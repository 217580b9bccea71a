// SPDX-License-Identifier: Apache-2.0
//
// The answer of `leaks roots`: every mapping, and why it is or is not a root.
#pragma once

#include <string>

#include "analysis/analysis.h"
#include "report/frame_format.h"

namespace heapledger {

std::string roots_text(const Scan& scan);
Json roots_json(const Scan& scan);

}  // namespace heapledger
