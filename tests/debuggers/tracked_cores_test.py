# SPDX-License-Identifier: Apache-2.0
"""Cores of a tracked process, written by the debugger and by the kernel: the ledger is in them, with the
stacks that the live process had."""

import re
import resource
from pathlib import Path
from typing import Callable

import harness

SAVE = {"lldb": "process save-core --style full {}", "gdb": "generate-core-file {}"}
# The program gets it at once, and ends.
PASS = {"lldb": "process handle --stop false --pass true SIGSEGV",
        "gdb": "handle SIGSEGV nostop noprint pass"}
SUMMARY = re.compile(r"^ *(?:definitely lost|indirectly lost|possibly lost|still reachable): .*$", re.M)


def told(report) -> list[tuple]:
    return sorted((one.address, one.size, one.kind, one.thread,
                   [(f["function"], f["offset"], f["line"]) for f in one.stack])
                  for one in harness.allocations(report).values())


class TrackedCores(harness.DebuggerTest):
    def live(self, end: Callable[[harness.Session], None]) -> tuple[harness.Session, harness.Answer,
                                                                    harness.Text]:
        session = harness.Session("four_answers")
        session.stop_at()
        session.run()
        report = session.ledger()
        leaks = session.leaks()
        end(session)
        self.outcome = session.execute()
        return session, report, leaks

    def assert_says_the_same(self, core: Path, report: harness.Answer, leaks: harness.Text) -> None:
        later = harness.Session("four_answers")
        later.open_core(core)
        from_core = later.ledger()
        leaks_of_core = later.leaks()
        outcome = later.execute()
        self.assertGreater(len(told(report.value)), 5)
        self.assertEqual(told(from_core.value), told(report.value), outcome.text[-3000:])
        self.assertEqual(len(SUMMARY.findall(leaks.value)), 4, leaks.value)
        self.assertEqual(SUMMARY.findall(leaks_of_core.value), SUMMARY.findall(leaks.value))

    def test_written_by_the_debugger(self) -> None:
        session, report, leaks = self.live(
            lambda session: session.raw(SAVE[harness.DEBUGGER].format(session.folder / "saved")))
        core = session.folder / "saved"
        self.assertTrue(core.exists(), self.outcome.text[-3000:])
        self.assert_says_the_same(core, report, leaks)

    def test_written_by_the_kernel(self) -> None:
        pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
        self.assertEqual(pattern, "core", "this test needs core files in the program's folder")
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, (soft, hard))

        def crash(session: harness.Session) -> None:
            session.raw(PASS[harness.DEBUGGER])
            session.host("sh", "-c", 'kill -SEGV "$0"')
            session.resume()

        session, report, leaks = self.live(crash)
        cores = list(session.folder.glob("core*"))
        self.assertEqual(len(cores), 1, self.outcome.text[-3000:])
        self.assert_says_the_same(cores[0], report, leaks)


if __name__ == "__main__":
    harness.main()
