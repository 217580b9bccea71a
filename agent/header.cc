// SPDX-License-Identifier: Apache-2.0
//
// The image's header: how the hooks find their memory. The debugger fills in the addresses in its
// own copy before it writes the image; inside the inferior these words are read-only.
#include "agent/header.h"

namespace heapledger::agent {

extern "C" __attribute__((section(".heapledger.header"), used, visibility("hidden")))
const volatile Header heapledger_header = {kMagic, kVersion, 0, 0, 0, 0, 0, {}};

}  // namespace heapledger::agent
