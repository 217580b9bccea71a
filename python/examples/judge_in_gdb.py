# SPDX-License-Identifier: Apache-2.0
"""A batch script that decides for itself: fails when one call stack holds more than a limit.

    gdb -nx -q -batch -ex "source build/release/heapledger_gdb.py" -ex "file PROGRAM" \
        -ex "break FUNCTION" -ex run -ex "source python/examples/judge_in_gdb.py"
"""

import gdb
import heapledger

LIMIT = 32 * 1024  # bytes

for stack in heapledger.stacks():
    if stack.bytes > LIMIT and any(block.kind == "malloc" for block in stack.blocks):
        where = ", ".join(frame.function for frame in stack.frames[:2])
        print(f"too much: {stack.bytes} bytes in {stack.count} blocks from {where}")
        for block in stack.blocks[:1]:
            owners = heapledger.who_owns(block.address)
            print(f"the first one, {block.address:#x}, is {owners.kind}")
        gdb.execute("quit 3")
