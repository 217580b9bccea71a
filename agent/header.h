// SPDX-License-Identifier: Apache-2.0
//
// Access to the image's header from the hooks.
#pragma once

#include "agent/protocol.h"

namespace heapledger::agent {

// volatile: the compiler must not fold the initial zeros into the code.
extern "C" __attribute__((visibility("hidden"))) const volatile Header heapledger_header;

inline State* state() { return reinterpret_cast<State*>(heapledger_header.state); }
inline Control* control() { return reinterpret_cast<Control*>(heapledger_header.control); }

}  // namespace heapledger::agent
