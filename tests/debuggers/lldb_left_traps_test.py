# SPDX-License-Identifier: Apache-2.0
"""Which traps stand in a running program's code: what a debugger that is killed would leave behind.

LLDB keeps one of its own at the loader's event, and the test's own breakpoint stands in the program.
Nothing of heapledger's is beside them: not even the trap at libc's start, where static programs begin.
"""

import sys

import harness

LOOK = [sys.executable, str(harness.SOURCE / "tests" / "debuggers" / "process_code.py")]


class LeftTraps(harness.DebuggerTest):
    def traps(self, program: str, with_heapledger: bool) -> list[str]:
        session = harness.Session(program, loaded=with_heapledger)
        session.stop_at()
        session.run()
        looked = session.host(*LOOK)
        session.resume()
        outcome = session.execute()
        self.assertRegex(outcome.text, session.debugger.ended(0))
        self.assertEqual("heapledger: tracking" in outcome.text, with_heapledger, outcome.text)
        return sorted(line for line in looked.value.splitlines() if not line.startswith("jump"))

    def test_are_lldbs_own_only(self) -> None:
        for program in ("track_kinds.pie", "track_dlopen", "track_kinds.nopie"):
            with self.subTest(program=program):
                plain = self.traps(program, False)
                self.assertTrue(any(line.startswith("trap ld-linux") for line in plain), plain)
                self.assertEqual(self.traps(program, True), plain)


if __name__ == "__main__":
    harness.main()
