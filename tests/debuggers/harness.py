# SPDX-License-Identifier: Apache-2.0
"""Drives a real debugger with heapledger loaded: what the tests use of the files beside it, and what is
compared.

A test describes a session in verbs that every debugger has (batch_session.py, terminal.py) and reads what
came back (answers.py); debugger_words.py turns the verbs into one debugger's words.
"""

from __future__ import annotations

import re
import unittest
from typing import Any, Iterable

from answers import (Allocation, Answer, Backtrace, Frame, HostOutput, Label, Text, allocations, current,
                     read_truth, walked)
from batch_session import Outcome, Session, run_plain, run_to_end
from debugger_words import DEBUGGER, DEBUGGERS, Gdb, Lldb
from surroundings import (BUILD, DEMO, EVERYTHING, PROGRAMS, SOURCE, STOP, fresh_folder,
                          scratch_folder, session_environment)
from terminal import Terminal


# Blocks whose chunk may keep a rest that is too small to be a chunk of its own.
TRIMMED = {"realloc", "reallocarray", "memalign", "aligned_alloc", "posix_memalign", "valloc",
           "pvalloc"}


def fits(one: Allocation, usable: int) -> bool:
    """glibc: at least what was asked for; at most the smallest chunk, rounding, and a rest of up to
    48 bytes where a chunk was cut; whole pages for pvalloc and for mapped chunks, which realloc may
    have shrunk to one page and memalign leaves untrimmed."""
    if usable < one.size:
        return False
    requested = max(one.size, 24)
    if one.kind == "pvalloc":
        requested = (requested + 4095) // 4096 * 4096
    if usable >= 1 << 17:
        return usable < requested + (1 << 17)
    if (one.address + usable) % 4096 == 0:
        return usable < requested + 4096 + 32
    if one.kind in ("operator new", "operator new[]"):
        return usable < requested + 80 + 256  # aligned forms round up to the alignment
    return usable < requested + (80 if one.kind in TRIMMED else 32)


class DebuggerTest(unittest.TestCase):
    maxDiff = 20000

    def setUp(self) -> None:
        plugin = Lldb.plugin
        self.assertTrue(plugin.exists(), f"{plugin} is not built")

    def outstanding_from(self, text: str, function: str) -> tuple[int, int]:
        """Bytes and count of the stacks of `leaks top` that begin in the function."""
        found = re.findall(r"(\d+) bytes in (\d+) allocations from stack\n\s*" + function + r"\+",
                           text)
        self.assertTrue(found, text)
        return sum(int(size) for size, _ in found), sum(int(count) for _, count in found)

    def assert_ledger_holds(self, report: dict[str, Any], labels: Iterable[Label],
                            outcome_text: str = "") -> dict[int, Allocation]:
        """Every labelled block is outstanding with its size and kind, every released one is not, and
        no two entries overlap (a nested entry point would)."""
        found = allocations(report)
        wrong = []
        counted = 0
        for label in current(labels).values():
            entry = found.get(label.address)
            if label.what == "held":
                counted += 1
                if entry is None:
                    wrong.append(f"{label.address:#x} {label.size} {label.name}: not outstanding")
                elif entry.size != label.size or entry.kind not in label.name.split("|"):
                    wrong.append(f"{label.address:#x} {label.size} {label.name}: "
                                 f"outstanding as {entry.size} {entry.kind}")
            elif label.what == "freed" and entry is not None and entry.size == label.size:
                # Another size: the address was used again, by the runtime.
                wrong.append(f"{label.address:#x} {label.size} {label.name}: released, but "
                             f"outstanding as {entry.size} {entry.kind}")
        ordered = sorted(found.values(), key=lambda one: one.address)
        for before, after in zip(ordered, ordered[1:]):
            if before.address + before.size > after.address:
                wrong.append(f"{before.address:#x}+{before.size} {before.kind} overlaps "
                             f"{after.address:#x}+{after.size} {after.kind}")
        self.assertGreater(counted, 0, f"the program labelled nothing\n{outcome_text[-3000:]}")
        self.assertEqual(wrong, [], outcome_text[-3000:])
        return found


    def assert_ledger_equals_walk(self, report: dict[str, Any], walk_text: str,
                                  where: str = "", least: int = 1,
                                  may_be_amid: bool = False) -> bool:
        """The set of heap blocks is what malloc's own structures say. What is between malloc and its
        record, or between the record and free, at this very moment is counted by the ledger. False:
        a thread stands amid malloc (may_be_amid) and its structures cannot be walked."""
        walk, complete = walked(walk_text)
        if not complete and may_be_amid:
            return False
        self.assertTrue(complete, f"{where}: {walk_text[-500:]}")
        heap = {a: one for a, one in allocations(report).items()
                if one.kind not in ("mmap", "mremap", "shmat")}
        in_flight = report["coverage"]["in_flight"]
        unrecorded = sorted(set(walk) - set(heap))
        gone = sorted(a for a in set(heap) - set(walk) if not heap[a].in_flight)
        self.assertEqual([f"{a:#x} {heap[a].size} {heap[a].kind}" for a in gone], [], where)
        # Amid malloc, besides the block that is being taken, another of its size may be on its way from a bin
        # to the thread's cache (_int_malloc, "stash").
        a_call = 2 if may_be_amid else 1
        self.assertLessEqual(len(unrecorded), a_call * in_flight,
                             f"{where}: {[f'{a:#x} {walk[a]}' for a in unrecorded[:20]]}")
        self.assertGreaterEqual(len(heap), least, where)
        wrong = [f"{a:#x} requested {one.size} usable {walk[a]}" for a, one in heap.items()
                 if a in walk and not one.in_flight and not fits(one, walk[a])]
        self.assertEqual(wrong, [], where)
        return True


def main() -> None:
    unittest.main(verbosity=2)
