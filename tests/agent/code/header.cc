// SPDX-License-Identifier: Apache-2.0
//
// The image's header (agent/header.h) as a word of the test program's, which writes it.
#include "agent/protocol.h"

namespace heapledger::agent {

extern "C" {
extern Header heapledger_header;
Header heapledger_header{};
}

}  // namespace heapledger::agent
