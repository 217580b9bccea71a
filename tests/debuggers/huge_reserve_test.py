# SPDX-License-Identifier: Apache-2.0
"""Terabytes of memory that a process reserved and never touched: they are not read, so the answer comes at
once, and stay untouched, so the process pays nothing for being looked at."""

import shutil
from pathlib import Path

import harness
import scan_labels
import waiting

PAGE_TABLES = 4096  # KiB that may come by attaching and looking; reading all of it takes eight million


def page_tables(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmPTE:"))


class HugeReserve(harness.DebuggerTest):
    def test_from_the_start(self) -> None:
        session = scan_labels.at_the_stop("huge_reserve")
        answer = session.leaks_json(scan_labels.LEAKS_ALL)
        outcome = session.execute(120)
        self.assertEqual(scan_labels.wrong_verdicts(answer.value, outcome.truth), [], outcome.text[-3000:])

    def test_attached(self) -> None:
        process = waiting.Waiting("huge_reserve")
        self.addCleanup(shutil.rmtree, process.folder)
        self.addCleanup(process.end)
        before = page_tables(process.pid)
        session = harness.Session(process.program)
        session.attach(process.pid)
        cold = session.leaks_json(scan_labels.LEAKS_ALL)
        session.leaks("start")
        warm = session.leaks_json(scan_labels.LEAKS_ALL)
        session.leaks("stop")
        session.detach()
        text = session.execute(120).text
        labels = harness.current(process.truth())
        self.assertEqual(len(labels), 4)
        for answer in (cold, warm):
            found = scan_labels.kinds_by_address(answer.value)
            self.assertEqual({label.name: found[label.address][0] for label in labels.values()},
                             {label.name: scan_labels.KINDS[label.what] for label in labels.values()},
                             text[-3000:])
        self.assertLess(page_tables(process.pid), before + PAGE_TABLES)


if __name__ == "__main__":
    harness.main()
