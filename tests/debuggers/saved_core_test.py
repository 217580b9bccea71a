# SPDX-License-Identifier: Apache-2.0
"""The core of a tracked process that the debugger itself writes - LLDB a minidump, gdb an ELF core: the
ledger is in it, with the stacks that the live process had. (The kernel's: tracked_core_test.py.)"""

import re

import harness

SAVE = {"lldb": "process save-core --style full {}", "gdb": "generate-core-file {}"}
SUMMARY = re.compile(r"^ *(?:definitely lost|indirectly lost|possibly lost|still reachable): .*$", re.M)


def told(report) -> list[tuple]:
    return sorted((one.address, one.size, one.kind, one.thread,
                   [(f["function"], f["offset"], f["line"]) for f in one.stack])
                  for one in harness.allocations(report).values())


class SavedCore(harness.DebuggerTest):
    def test_says_what_the_live_process_said(self) -> None:
        session = harness.Session("four_answers")
        session.stop_at()
        session.run()
        report = session.ledger()
        leaks = session.leaks()
        core = session.folder / "saved"
        session.raw(SAVE[harness.DEBUGGER].format(core))
        outcome = session.execute()
        self.assertTrue(core.exists(), outcome.text[-3000:])

        later = harness.Session("four_answers")
        later.open_core(core)
        report_of_core = later.ledger()
        leaks_of_core = later.leaks()
        outcome = later.execute()
        self.assertGreater(len(told(report.value)), 5)
        self.assertEqual(told(report_of_core.value), told(report.value), outcome.text[-3000:])
        self.assertEqual(len(SUMMARY.findall(leaks.value)), 4, leaks.value)
        self.assertEqual(SUMMARY.findall(leaks_of_core.value), SUMMARY.findall(leaks.value))


if __name__ == "__main__":
    harness.main()
