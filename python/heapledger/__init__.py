# SPDX-License-Identifier: Apache-2.0
"""Typed access to the leak session of the debugger this Python runs in, gdb or LLDB.

    import heapledger
    report = heapledger.leaks()
    if report.definitely_lost.bytes > 1000:
        for record in report.records:
            print(record, record.stack[0].function)

All functions ask about the selected program as it is stopped now, and raise RuntimeError with one line
where the command of that name prints an error. Sizes are requested bytes, addresses are integers.
"""

from __future__ import annotations

from heapledger._core import (Block, Frame, LeakReport, Link, LossRecord, Owners, Stack, Total,
                              leaks_of, owners_of, plugin_query, stacks_of)

_EVERYTHING = 1_000_000_000

try:
    import gdb as _gdb
except ImportError:
    _gdb = None


def _query(*words: str) -> str:
    if _gdb is None:
        return plugin_query(list(words))
    from heapledger import gdb_bridge
    return gdb_bridge.query(list(words))


def run(command: str = "") -> str:
    """What `leaks COMMAND` prints, as text."""
    return _query(*command.split())


def stacks(limit: int = _EVERYTHING, *, addresses: bool = True) -> list[Stack]:
    """Outstanding allocations by call stack, most bytes first. `limit` stacks at most; without
    `addresses` their `blocks` are empty."""
    words = ["top", str(limit), "--format", "json"] + (["--addresses"] if addresses else [])
    return stacks_of(_query(*words))


def blocks() -> list[Block]:
    """Every outstanding allocation, in no particular order."""
    return [block for stack in stacks() for block in stack.blocks]


def leaks(kinds: str = "all", *, addresses: bool = True) -> LeakReport:
    """The reachability scan. `kinds`: a list of definite,indirect,possible,reachable, or all: which
    loss records are made. Without `addresses` their `members` are empty."""
    words = ["--show-kinds", kinds, "--format", "json"] + (["--addresses"] if addresses else [])
    return leaks_of(_query(*words))


def who_owns(address: int | str) -> Owners:
    """What keeps the block at an address, or at an expression of the debugger, alive."""
    where = f"{address:#x}" if isinstance(address, int) else address
    return owners_of(_query("who-owns", where, "--format", "json", "--all"))


__all__ = ["Block", "Frame", "LeakReport", "Link", "LossRecord", "Owners", "Stack", "Total",
           "blocks", "leaks", "run", "stacks", "who_owns"]
