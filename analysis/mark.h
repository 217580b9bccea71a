// SPDX-License-Identifier: Apache-2.0
//
// The mark: what can be reached from the roots, and along which shortest chain.
//
// Breadth first, so that a block's parent is on a shortest chain to it: the answer of who-owns for
// every block comes for free. First along start pointers only (still reachable), then along all
// (possibly lost), both by distance.
#pragma once

#include "analysis/graph.h"

namespace heapledger {

// Sets Node::parent of every reachable block, Graph::entries, and the verdicts still_reachable (with
// the heuristic that a block needs) and possibly_lost. What was not reached becomes definitely_lost
// for the time being, with parent kNoParent. False: progress said stop.
bool mark(Graph& graph, const Progress& progress);

}  // namespace heapledger
