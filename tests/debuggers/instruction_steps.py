# SPDX-License-Identifier: Apache-2.0
"""Runs inside either debugger: the command `step-through FUNCTION` steps by single instructions from the
beginning of FUNCTION to its return, and compares the debugger's backtrace at every one of them with
the return addresses that the calls pushed.

Prints the functions it came through, each backtrace that is not what it has to be, and how many steps
it took.
"""

import struct

MOST_STEPS = 20000

try:
    import gdb
except ImportError:
    import lldb

    def thread():
        return lldb.debugger.GetSelectedTarget().GetProcess().GetSelectedThread()

    def state():
        frame = thread().GetFrameAtIndex(0)
        return frame.GetPC(), frame.GetSP(), frame.GetFunctionName() or "?"

    def word(address):
        return lldb.debugger.GetSelectedTarget().GetProcess().ReadUnsignedFromMemory(
            address, 8, lldb.SBError())

    def step():
        thread().StepInstruction(False)

    def backtrace():
        """LLDB gives what was inlined the real pc, and the function around it a pc in front of that."""
        pcs, real = [], 0
        for frame in thread():
            if frame.IsArtificial():
                continue
            real = real or frame.GetPC()
            if not frame.IsInlined():
                pcs.append(real)
                real = 0
        return pcs
else:
    def state():
        frame = gdb.newest_frame()
        return frame.pc(), int(frame.read_register("rsp")), frame.name() or "?"

    def word(address):
        return struct.unpack("<Q", gdb.selected_inferior().read_memory(address, 8))[0]

    def step():
        gdb.execute("stepi", to_string=True)

    def backtrace():
        pcs, frame = [], gdb.newest_frame()
        while frame is not None:
            if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
                pcs.append(frame.pc())
            frame = frame.older()
        return pcs


def step_through():
    outer = backtrace()  # innermost first
    returns = []         # of calls made since, outermost first
    came_through, wrong, steps = [], 0, 0
    pc, sp, name = state()
    while steps < MOST_STEPS:
        old_pc, old_sp = pc, sp
        step()
        steps += 1
        pc, sp, name = state()
        if sp == old_sp - 8 and 2 <= word(sp) - old_pc <= 7:
            returns.append(word(sp))
        elif sp > old_sp and returns and pc == returns[-1]:
            returns.pop()
        elif sp > old_sp and not returns and pc == outer[1]:
            break
        if name not in came_through:
            came_through.append(name)
        expected = [pc, *reversed(returns), *outer[1:]]
        found = backtrace()
        if found != expected:
            wrong += 1
            print(f"WRONG in {name} {pc:#x}: {[hex(p) for p in found]} for "
                  f"{[hex(p) for p in expected]}")
    print(f"THROUGH {' '.join(n.replace(' ', '') for n in came_through)}")
    print(f"DONE {steps} steps, {wrong} wrong")


def lldb_step_through(debugger, command, result, _):
    debugger.SetAsync(False)
    step_through()


def __lldb_init_module(debugger, _):
    debugger.HandleCommand(f"command script add -f {__name__}.lldb_step_through step-through")


if "gdb" in globals():
    class StepThrough(gdb.Command):
        def __init__(self):
            super().__init__("step-through", gdb.COMMAND_USER)

        def invoke(self, argument, from_tty):
            step_through()

    StepThrough()
