# SPDX-License-Identifier: Apache-2.0
"""tests/programs/limited under a debugger: what is said of it where it has little room, and that it computes what
it computes without us. No byte of its code is changed where tracking was refused."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

import harness
import process_code
import waiting

WORK = "work=30000"
MUCH_WORK = "work=300000"
LITTLE_WORK = "work=20"
OUTPUT = {LITTLE_WORK: "sum 100\nhandlers ran\n", WORK: "sum 1917504\nhandlers ran\n",
          MUCH_WORK: "sum 19198208\nhandlers ran\n"}
STATUS = 7
CHANGES = ("/usr/bin/python3", str(harness.SOURCE / "tests/debuggers/process_code.py"))


@dataclass
class Said:
    start: str   # by the launch up to the first stop, or to `leaks start` there
    status: str  # to `leaks status` at the second stop
    scan: str    # to `leaks` there
    hooks: int   # jumps in the program's code at the second stop
    text: str    # of the whole session


class LimitedTest(harness.DebuggerTest):
    def launched(self, *words: str, late: bool = False) -> Said:
        """Under the debugger. Work is the last of its words. With `late`, tracking starts at the first stop."""
        session = harness.Session("limited", *words)
        if session.debugger.name == "lldb":
            session.raw("settings set target.process.stop-on-exec false")
        if late:
            session.leaks("auto off")
        session.stop_at()
        start = session.run()
        if late:
            start = session.may_fail("start")
        session.resume()
        said = self.ask(session)
        session.resume()
        outcome = session.execute()
        self.assertRegex(outcome.text, session.debugger.ended(STATUS))
        self.assertEqual(outcome.output, OUTPUT[words[-1]], outcome.text[-3000:])
        return self.judge(start, said, outcome.text)

    def attached(self, *words: str, start: str = "start") -> Said:
        """Attached to at its first stop."""
        process = waiting.Waiting("limited", *words)
        self.addCleanup(shutil.rmtree, process.folder)
        self.addCleanup(process.end)
        session = harness.Session(process.program)
        session.attach(process.pid)
        told = session.may_fail(start)
        session.stop_at()
        process.let_go(session)
        session.resume()
        said = self.ask(session)
        session.detach()
        text = session.execute().text
        self.assertEqual(process.run_to_end(), STATUS, text[-3000:])
        self.assertEqual(process.output(), OUTPUT[words[-1]], text[-3000:])
        return self.judge(told, said, text)

    def ask(self, session: harness.Session) -> tuple:
        return session.leaks("status"), session.leaks(), session.host(*CHANGES)

    def judge(self, start: harness.Text, said: tuple, text: str) -> Said:
        status, scan, changes = said
        hooks = changes.value.count("jump ")
        self.assertNotIn("torn", changes.value, text)
        return Said(start.value, status.value, scan.value, hooks, text)

    def assert_refused(self, said: Said, cause: str) -> None:
        lines = [line for line in said.start.splitlines() if re.search(cause, line)]
        self.assertEqual(len(lines), 1, said.text[-4000:])
        self.assertIn("not tracking: ", lines[0])
        self.assertEqual(said.hooks, 0, said.text[-4000:])
        self.assertRegex(said.status, r"tracking: +(off|armed)")
        # The scan needs nothing of the process.
        self.assertIn("still reachable", said.scan, said.text[-4000:])

    def assert_tracked(self, said: Said) -> None:
        self.assertIn("heapledger: tracking: ", said.start, said.text[-4000:])
        self.assertGreater(said.hooks, 0)
        self.assertRegex(said.status, r"dropped: +0 allocations", said.text[-4000:])
        self.assertNotIn("not recorded", said.scan)

    def assert_degraded(self, said: Said, cause: str) -> None:
        self.assertIn("heapledger: tracking: ", said.start, said.text[-4000:])
        self.assertRegex(said.status, r"dropped: +[1-9]\d* allocations", said.text[-4000:])
        self.assertRegex(said.status, cause)
        notes = [line for line in said.scan.splitlines() if "allocations were not recorded" in line]
        self.assertEqual(len(notes), 1, said.text[-4000:])
        self.assertRegex(notes[0], rf"^note: [1-9]\d* allocations were not recorded, .*{cause}")
        self.assertIn("they have no stack", notes[0])  # malloc's own structures show them
