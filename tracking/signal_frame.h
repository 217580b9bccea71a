// SPDX-License-Identifier: Apache-2.0
//
// Frames the kernel pushed for signal handlers that have not returned. The interrupted pc waits in
// each of them; when the code there is replaced meanwhile, sigreturn would go into the middle of
// it.
//
// A frame is known by its shape (struct rt_sigframe, arch/x86/include/asm/sigframe.h; the registers
// follow struct sigcontext) and by its return address, which leads to a call of rt_sigreturn.
#pragma once

#include <vector>

#include "inferior/address.h"
#include "inferior/mappings.h"
#include "inferior/memory.h"

namespace heapledger {

struct SignalFrame {
  Address pc_slot = 0;  // where the interrupted pc is kept
  Address pc = 0;
  Address sp = 0;  // of the interrupted code
};

// Of a stopped thread whose stack pointer is `sp`, innermost first: on its present stack and, from
// an alternate signal stack, on the ones interrupted. At most 8 MiB of each stack are looked at. A
// context that was switched away (makecontext) inside a handler is not seen.
std::vector<SignalFrame> find_signal_frames(const Memory& memory, const Mappings& mappings,
                                            Address sp);

// The code there is what a signal handler returns to: it calls rt_sigreturn, and the frame outside it
// is the interrupted one.
bool calls_sigreturn(const Memory& memory, Address code);

}  // namespace heapledger
