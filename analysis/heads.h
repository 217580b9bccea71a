// SPDX-License-Identifier: Apache-2.0
//
// What heads a lost group. The lost blocks form a graph of their own; each of its strongly connected
// components into which no pointer leads from another one has one head: the block that, freed with all
// it leads to, would have prevented the leak. Everything else lost is indirectly so, and is counted
// with the first head (by address) that leads to it.
//
// Valgrind instead searches depth first by address and never enters a block twice; its answer depends
// on where blocks lie. With L <-> x, P -> x and L below P it reports L and P, here P alone.
// LeaderRule::valgrind does as it does.
#pragma once

#include "analysis/block_set.h"
#include "analysis/graph.h"

namespace heapledger {

// Expects what mark() leaves behind. Sets definitely_lost, indirectly_lost and suppressed, and
// Node::parent of every lost block to its head (a head's own to itself). `maybe_objects`: whose
// first word may be a vtable's address. False: stopped.
bool classify_lost(const ScanInput& input, const ScanOptions& options,
                   const BlockSet& maybe_objects, Graph& graph);

}  // namespace heapledger
