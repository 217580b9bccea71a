# SPDX-License-Identifier: Apache-2.0
"""The debugger itself may have no more memory while it looks at a large heap. It says so in one line, lives on,
answers as soon as it has memory again, and the process does not notice."""

from __future__ import annotations

import harness

# As a script of the debugger's own Python: SPARE bytes more than it has now.
LIMIT = ("python" if harness.DEBUGGER == "gdb" else "script") + (
    " import resource as r; r.setrlimit(r.RLIMIT_AS, ({}, r.RLIM_INFINITY))")
NOW = "int(open('/proc/self/statm').read().split()[0]) * 4096 + "
BLOCKS = 2_000_000


class HungryDebugger(harness.DebuggerTest):
    def play(self, spare: int) -> None:
        session = harness.Session("many_blocks", str(BLOCKS))
        session.stop_at()
        session.run()
        session.raw(LIMIT.format(f"{NOW}{spare}"))
        hungry = session.may_fail("--limit 1")
        session.raw(LIMIT.format("r.RLIM_INFINITY"))
        fed = session.leaks("--limit 1")
        end = session.resume()
        outcome = session.execute(300)
        told = [line for line in hungry.value.splitlines() if "memory" in line]
        self.assertEqual(len(told), 1, outcome.text[-4000:])
        self.assertRegex(told[0], "needs more memory than the debugger can get|not enough memory for its")
        self.assertNotIn("LEAK SUMMARY", hungry.value)
        self.assertIn("LEAK SUMMARY", fed.value, outcome.text[-4000:])
        self.assertRegex(fed.value, r"in use at stop: [\d,]+ bytes in 2,000,\d+ blocks")
        self.assertRegex(end.value + outcome.text, session.debugger.ended(0))

    def test_at_several_places(self) -> None:
        for spare in range(16 << 20, 112 << 20, 16 << 20):
            with self.subTest(spare=spare):
                self.play(spare)


if __name__ == "__main__":
    harness.main()
