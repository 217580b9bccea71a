# SPDX-License-Identifier: Apache-2.0
"""A batch script that decides for itself: fails when one call stack holds more than a limit.

    lldb --batch -o "plugin load build/release/heapledger_lldb.so" \
         -o "command script import build/release/heapledger" -o "target create PROGRAM" \
         -o "breakpoint set --name FUNCTION" -o run \
         -o "command script import python/examples/judge_in_lldb.py"
"""

import heapledger

LIMIT = 32 * 1024  # bytes


def __lldb_init_module(debugger, _):
    for stack in heapledger.stacks():
        if stack.bytes > LIMIT and any(block.kind == "malloc" for block in stack.blocks):
            where = ", ".join(frame.function for frame in stack.frames[:2])
            print(f"too much: {stack.bytes} bytes in {stack.count} blocks from {where}")
            for block in stack.blocks[:1]:
                owners = heapledger.who_owns(block.address)
                print(f"the first one, {block.address:#x}, is {owners.kind}")
            debugger.HandleCommand("quit 3")
