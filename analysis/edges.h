// SPDX-License-Identifier: Apache-2.0
//
// From memory to edges: every window is read once, filtered, and each word that points into a block
// is kept - as an edge of the block it lies in, or as a word of the root.
#pragma once

#include "analysis/graph.h"
#include "analysis/windows.h"
#include "inferior/result.h"

namespace heapledger {

// Fills graph.nodes[].row, graph.edges, graph.root_pieces; `traits`: one byte per block, zero.
// Interior edges are kept as found; settle_interior decides about them.
Result<void> collect_edges(const ScanInput& input, unsigned threads, Graph& graph,
                           HugeArray<std::uint8_t>& traits, Coverage& coverage);

}  // namespace heapledger
