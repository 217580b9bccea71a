# SPDX-License-Identifier: Apache-2.0
"""A process that was tracked twice, and a debugger that comes later: the ledger it finds is the second one's."""

import shutil

import harness
import waiting


class TrackedAgain(harness.DebuggerTest):
    def test_a_later_debugger_finds_the_newest_ledger(self) -> None:
        process = waiting.Waiting("goes_on")
        self.addCleanup(shutil.rmtree, process.folder)
        self.addCleanup(process.end)
        first = harness.Session(process.program)
        first.attach(process.pid)
        first.leaks("start")
        first.leaks("stop")
        first.leaks("start")
        first.stop_at()
        process.let_go(first)
        first.resume()
        first.detach()
        text = first.execute().text
        second = harness.Session(process.program)
        second.attach(process.pid)
        report = second.ledger()
        status = second.leaks("status")
        second.detach()
        text += second.execute().text
        self.assertRegex(status.value, r"since start: +13 allocations, 0 releases, 57500 bytes allocated\n")
        grown = [group for group in report.value["groups"] if group["bytes"] == 50000]
        self.assertEqual([frame["function"] for frame in grown[0]["stack"][:2]], ["after", "main"], text)
        self.assertEqual(process.run_to_end(), 0)


if __name__ == "__main__":
    harness.main()
