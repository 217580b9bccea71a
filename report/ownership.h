// SPDX-License-Identifier: Apache-2.0
//
// The answer of `leaks who-owns`.
#pragma once

#include <string>

#include "analysis/owners.h"
#include "report/frame_format.h"
#include "report/ledger_coverage.h"
#include "report/stack_frames.h"

namespace heapledger {

std::string ownership_text(const Ownership& ownership, const ProcessScan& scan,
                           const Ledger& ledger, const LedgerCoverage& coverage,
                           FrameResolver& frames);
Json ownership_json(const Ownership& ownership, const ProcessScan& scan, const Ledger& ledger,
                    FrameResolver& frames);

}  // namespace heapledger
