# SPDX-License-Identifier: Apache-2.0
"""Sourced by gdb: the selected thread's frames, one real frame a line. Its inlined functions come before
a frame in gdb's list and share its pc; a tail call that gdb concluded left no return address."""

import gdb


def print_frames() -> None:
    frame = gdb.newest_frame()
    while frame is not None:
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            module = gdb.solib_name(frame.pc()) or gdb.current_progspace().filename or ""
            print(f"FRAME {frame.pc():#x} [{module.rpartition('/')[2]}] [{frame.name() or ''}]")
        frame = frame.older()


print_frames()
