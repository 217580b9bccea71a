// SPDX-License-Identifier: Apache-2.0
//
// What a finished scan keeps.
#pragma once

#include "analysis/analysis.h"
#include "analysis/graph.h"

namespace heapledger {

struct Scan::State {
  explicit State(ScanInput in) : input(std::move(in)) {}
  ScanInput input;  // its blocks may be lent
  Graph graph;
  Summary summary;
  Coverage coverage;
};

}  // namespace heapledger
